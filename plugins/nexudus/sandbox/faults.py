"""What can go wrong on the other side, each as a switch that a person or a test sets."""

import threading
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass
class Switches:
    """All of them off. `..._next` count down to 0, `..._every` n means every n-th.

    `only` limits both to paths that contain it; the token endpoint is spared unless `only` names it.
    """

    only: str = ""
    lost_answer_every: int = 0  # the write is carried out, its answer never arrives
    lost_answer_next: int = 0
    dropped_every: int = 0  # the connection ends before anything was done
    dropped_next: int = 0
    error_next: int = 0  # 500, nothing was done
    error_after_next: int = 0  # 500, although the write was carried out
    error_ooops: bool = False  # ... with the "Ooops" envelope
    throttle_next: int = 0
    throttle_status: int = 429  # or 409
    throttle_retry_after: bool = True
    html_next: int = 0  # 200 and a page instead of JSON; a write was not carried out
    cut_next: int = 0  # 200 and the first half of the JSON; the call was carried out
    slow_s: float = 0  # every answer takes this long
    one_time_code: str = ""  # the token endpoint demands it
    api_access: str = "on"  # "off" refuses every call; "shown_off" only says it were off
    missing_roles: str = ""  # "CoworkerInvoice-Create, Coworker-Edit": taken from everybody
    missing_role_status: int = 401  # or 403
    creation_cap: int | None = None  # coworkers a day; None leaves it to the limits
    renewal_next: int = 0  # before the next invoicing, contracts renew and swallow what is pending
    one_invoice_per_sale: bool = False  # COWORKER_PRODUCT_INVOICE with several ids
    ignored_filters: str = ""  # "Coworker_Email": answered as if it were misspelt
    hidden_s: int = 0  # new rows are missing from lists for this long


class Faults:
    """The switches and their counting down."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.switches = Switches()
        self._counted: dict[str, int] = {}

    def turn(self, values: dict[str, Any]) -> None:
        """Turn switches by name; `ValueError` names one that does not exist or does not take that value."""
        known = {one.name: one.default for one in fields(Switches)}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ValueError(f"there is no switch {', '.join(unknown)}")
        self.switches = replace(self.switches, **{name: _as(known[name], name, one) for name, one in values.items()})

    def reset(self) -> None:
        with self._lock:
            self.switches = Switches()
            self._counted.clear()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self.switches)

    def concerns(self, path: str) -> bool:
        only = self.switches.only.lower()
        return only in path.lower() if only else path != "/api/token"

    def strikes(self, name: str) -> bool:
        """Whether the fault `name` is due now; counts."""
        with self._lock:
            left = getattr(self.switches, f"{name}_next")
            if left:
                setattr(self.switches, f"{name}_next", left - 1)
                return True
            every = getattr(self.switches, f"{name}_every", 0)
            if not every:
                return False
            self._counted[name] = self._counted.get(name, 0) + 1
            return self._counted[name] % every == 0

    def names(self, switch: str) -> set[str]:
        """The names in a comma list, in lower case."""
        return {one.strip().lower() for one in str(getattr(self.switches, switch)).split(",") if one.strip()}


def _as(default: Any, name: str, value: Any) -> Any:
    try:
        if isinstance(default, bool):
            return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "on", "yes")
        if default is None:
            return None if value in (None, "") else int(value)
        if isinstance(default, int | float):
            return type(default)(value or 0)
    except (TypeError, ValueError):
        raise ValueError(f"{name} does not take {value!r}") from None
    return ", ".join(value) if isinstance(value, list) else str(value or "")
