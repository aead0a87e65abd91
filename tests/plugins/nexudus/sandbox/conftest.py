"""A sandbox in process, and a program that talks to it as the public documentation says."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from plugins.nexudus.sandbox import create_sandbox
from plugins.nexudus.sandbox.adapter import SandboxAdapter
from plugins.nexudus.sandbox.seed import EMAIL, PASSWORD
from plugins.nexudus.sandbox.space import Space
from plugins.nexudus.sandbox.worlds import id_of

BASE = "https://nexudus.example"

MEMBERS = "/api/spaces/coworkers"
SALES = "/api/billing/coworkerproducts"
CHARGES = "/api/billing/charges"
INVOICES = "/api/billing/coworkerinvoices"
LINES = "/api/billing/coworkerinvoicelines"

Answer = requests.Response
Record = dict[str, Any]


@dataclass
class Program:
    """A program with a sign-in; makes the smallest valid records."""

    adapter: SandboxAdapter
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.mount(BASE, self.adapter)

    @property
    def space(self) -> Space:
        return self.adapter.space

    def token(self, headers: dict[str, str] | None = None, **form: str) -> Answer:
        return self.session.post(f"{BASE}/api/token", data=form, headers=headers)

    def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> Record:
        tokens: Record = self.token(grant_type="password", username=email, password=password).json()
        self.session.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        return tokens

    def get(self, path: str, **query: Any) -> Answer:
        return self.session.get(BASE + path, params=query)

    def post(self, path: str, **record: Any) -> Answer:
        return self.session.post(BASE + path, json=record)

    def put(self, path: str, record: Record) -> Answer:
        return self.session.put(BASE + path, json=record)

    def delete(self, path: str) -> Answer:
        return self.session.delete(BASE + path)

    def control(self, path: str, **values: Any) -> Answer:
        return self.session.post(f"{BASE}/sandbox{path}", json=values)

    def rows(self, path: str, **query: Any) -> list[Record]:
        rows: list[Record] = self.get(path, **{"size": 1000, **query}).json()["Records"]
        return rows

    def read(self, path: str, record_id: int) -> Record:
        record: Record = self.get(f"{path}/{record_id}").json()
        return record

    def created(self, answer: Answer) -> int:
        """The id of what was made."""
        said = answer.json()
        assert said["WasSuccessful"], said
        return int(said["Value"]["Id"])

    @property
    def business(self) -> Record:
        return self.rows("/api/sys/businesses")[0]

    def product(self, rate: int = 23, business_id: int | None = None) -> Record:
        business_id = business_id or self.business["Id"]
        rates = {one["Id"]: one["Rate"] for one in self.rows("/api/sys/taxrates", TaxRate_Business=business_id)}
        products = self.rows("/api/billing/products", Product_Business=business_id)
        return next(one for one in products if rates[one["TaxRateId"]] == rate)

    def member(self, **values: Any) -> int:
        record = {
            "FullName": "Ada Example",
            "Email": "ada@example.example",
            "CountryId": id_of("Country", "PT"),
            "SimpleTimeZoneId": id_of("SimpleTimeZone", "Europe/Lisbon"),
            "Businesses": [self.business["Id"]],
            "InvoicingBusinessId": self.business["Id"],
        }
        return self.created(self.post(MEMBERS, **(record | values)))

    def sale(self, member_id: int, price: str = "20", rate: int = 23, **values: Any) -> int:
        product = self.product(rate)
        record = {"CoworkerId": member_id, "BusinessId": product["BusinessId"], "ProductId": product["Id"]}
        record |= {"Quantity": 1, "Price": float(price), "RepeatCycle": 1, "CreditAmount": 0, "DiscountAmount": 0}
        return self.created(self.post(SALES, **(record | values)))

    def charge(self, member_id: int, total: str = "20", **values: Any) -> int:
        record = {"CoworkerId": member_id, "BusinessId": self.business["Id"], "Quantity": 1}
        record |= {"TotalAmount": float(total), "DiscountAmount": 0, "CreditAmount": 0}
        return self.created(self.post(CHARGES, **(record | values)))

    def run(self, path: str, key: str, *ids: int, **parameters: Any) -> Record:
        named = [{"Name": name.replace("_", " "), "Value": value} for name, value in parameters.items()]
        answer = self.post(f"{path}/runcommand", Key=key, Ids=list(ids), Parameters=named)
        assert answer.status_code == 200
        said: Record = answer.json()
        return said

    def invoice_sales(self, *ids: int) -> Record:
        """The invoice made of these sales."""
        assert self.run(SALES, "COWORKER_PRODUCT_INVOICE", *ids)["WasSuccessful"]
        return self.read(INVOICES, self.read(SALES, ids[0])["CoworkerInvoiceId"])

    def lines(self, invoice_id: int) -> list[Record]:
        return self.rows(LINES, CoworkerInvoiceLine_CoworkerInvoice=invoice_id)


Start = Callable[..., Program]


@pytest.fixture
def start() -> Start:
    """`start(profile=..., limits=..., demo=...)` -> a program before its sign-in, at a sandbox of its own."""

    def started(**options: Any) -> Program:
        return Program(SandboxAdapter(create_sandbox(None, **{"limits": "off", **options})))

    return started


@pytest.fixture
def program(start: Start) -> Program:
    """A program that is signed in, at a sandbox of the current profile without limits."""
    program = start()
    program.sign_in()
    return program
