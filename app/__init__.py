"""The host: `create_app` wires its parts together, in reading order."""

import secrets
import time
from datetime import timedelta

import structlog
from flask import Flask, Response, g, request
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from whitenoise import WhiteNoise

from app import cli, db, failures, formats, health, htmx, logs, work
from app.accounts import routes as account_routes
from app.accounts import signing_in
from app.activity import routes as activity_routes
from app.assets import HASHED_NAME
from app.billing import jobs as billing_jobs
from app.billing import routes as billing_routes
from app.billing.life_models import PlannedMove
from app.billing.models import Customer, InvoiceMail
from app.billing.routes import describe_customer, describe_invoice_mail, describe_planned_move, describe_subscription
from app.billing.subscription_models import Subscription
from app.config import Settings
from app.dashboard import routes as dashboard_routes
from app.events import MailSent
from app.installations import frame, guard
from app.installations import routes as installation_routes
from app.jobs import routes as job_routes
from app.mailing import jobs as mailing_jobs
from app.mailing.models import OutgoingMail
from app.payments import jobs as payment_jobs
from app.payments import routes as payment_routes
from app.plugin import Registry
from app.portal import jobs as portal_jobs
from app.portal import routes as portal_routes
from app.problems import routes as problem_routes
from app.upkeep import metrics, pruning
from app.vault import Vault

IDLE = timedelta(minutes=30)
LARGEST_REQUEST = 30 * 1024 * 1024
POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)

log = structlog.get_logger()


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask app for `settings`, read from the environment when None."""
    settings = settings or Settings.read()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    logs.set_up(settings)

    app = Flask(__name__, template_folder="../templates", static_folder=None)
    app.config.update(
        SETTINGS=settings,
        SECRET_KEY=settings.session_key,
        SQLALCHEMY_DATABASE_URI=settings.database,
        SQLALCHEMY_ENGINE_OPTIONS=settings.engine_options,
        PERMANENT_SESSION_LIFETIME=IDLE,
        SESSION_COOKIE_NAME="session" if settings.is_demo else "__Host-session",
        SESSION_COOKIE_SECURE=not settings.is_demo,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=LARGEST_REQUEST,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session itself
    )
    if settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=settings.trusted_proxies, x_proto=1)  # type: ignore[method-assign]
    app.wsgi_app = WhiteNoise(  # type: ignore[method-assign]  # middleware, as Flask documents it
        app.wsgi_app, root=settings.data_dir / "assets", prefix="static", immutable_file_test=HASHED_NAME
    )

    app.extensions["vault"] = Vault(settings.encryption_keys)
    db.init_app(app)
    work.init_app(app, settings.redis_url)
    htmx.init_app(app)
    csrf = CSRFProtect(app)
    signing_in.init_app(app)
    formats.init_app(app)
    failures.init_app(app)
    _number_requests(app)
    guard.init_app(app)
    frame.init_app(app)

    app.register_blueprint(health.pages)
    app.register_blueprint(metrics.pages)
    app.register_blueprint(account_routes.pages)
    app.register_blueprint(billing_routes.pages)
    app.register_blueprint(installation_routes.pages)
    app.register_blueprint(payment_routes.pages)
    app.register_blueprint(payment_routes.hooks)
    csrf.exempt(payment_routes.hooks)  # a provider carries no cookie; it signs what it says
    app.register_blueprint(job_routes.pages)
    app.register_blueprint(dashboard_routes.pages)
    app.register_blueprint(activity_routes.pages)
    app.register_blueprint(problem_routes.pages)
    app.register_blueprint(portal_routes.pages)
    if settings.is_demo:
        from app.styleguide import styleguide_pages  # made for looking at; production never loads it

        app.register_blueprint(styleguide_pages)
    app.extensions["bell"].watch("host", OutgoingMail, mailing_jobs.send_mail, describe=activity_routes.describe_mail)
    app.extensions["bell"].watch("host", PlannedMove, billing_jobs.make_planned_move, describe=describe_planned_move)
    app.extensions["bell"].know("host", pruning.prune)
    payment_jobs.watch(app.extensions["bell"])
    portal_jobs.watch(app.extensions["bell"])
    app.extensions["bell"].watch("host", Subscription, billing_jobs.bill_subscription, describe=describe_subscription)
    app.extensions["bell"].watch("host", InvoiceMail, billing_jobs.mail_invoice, describe=describe_invoice_mail)
    registry = Registry.load(settings.plugins)
    registry.mount(app)
    for plugin in registry:
        for job in plugin.jobs:
            app.extensions["bell"].know(plugin.name, job, plugin.queue)
        for event, heard in plugin.hears.items():
            about = (OutgoingMail, None) if event is MailSent else (Customer, describe_customer)
            app.extensions["bell"].know(plugin.name, heard, plugin.queue, *about)
        for rows in plugin.due:
            app.extensions["bell"].watch(plugin.name, rows.model, rows.job, plugin.queue, rows.describe, rows.deed)
    cli.init_app(app)
    return app


def _number_requests(app: Flask) -> None:
    """Give every request an id, one log line, and the headers that every answer carries."""

    @app.before_request
    def begin() -> None:
        g.begun, g.request_id = time.monotonic(), secrets.token_hex(8)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Request-Id"] = g.get("request_id", "")
        if not app.config["SETTINGS"].is_demo:
            response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
        ms = round((time.monotonic() - g.get("begun", time.monotonic())) * 1000)
        log.info("request", method=request.method, path=logs.path_of(request), status=response.status_code, ms=ms)
        return response
