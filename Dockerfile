# One image for every process of the product: compose.yaml says which of them each container runs.
FROM python:3.13-slim

RUN useradd --create-home --uid 1000 spheremail && mkdir /data && chown spheremail /data
WORKDIR /opt/spheremail
COPY requirements.txt requirements-browser.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt
COPY app app
COPY plugins plugins
COPY templates templates
COPY migrations migrations
COPY wsgi.py LICENSE ./
USER spheremail
ENV SPHEREMAIL_DATA_DIR=/data WEB_CONCURRENCY=2 PYTHONUNBUFFERED=1
VOLUME /data
EXPOSE 8000
CMD ["gunicorn", "wsgi:app", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--threads", "8", "--timeout", "60", "--graceful-timeout", "8", "--no-control-socket", "--log-level", "warning"]
