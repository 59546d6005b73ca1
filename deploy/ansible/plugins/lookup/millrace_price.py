"""The price of a type of machine, from the list that is compiled into the programs: src/cost/prices.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
    name: millrace_price
    author: Millrace
    short_description: USD for an hour of a type of machine
    description:
        - On demand, Linux, us-east-1, by the newest list of src/cost/prices.toml; empty for a type it does not have.
    options:
        _terms:
            description: Types of machines, as c7i.xlarge.
            required: true
"""

PRICES = Path(__file__).resolve().parents[4] / "src/cost/prices.toml"


class LookupModule(LookupBase):
    """The lookup."""

    def run(self, terms, variables=None, **kwargs):
        """A price for each type, or an empty text."""
        try:
            lists = tomllib.loads(PRICES.read_text(encoding="utf-8"))["list"]
        except (OSError, ValueError) as error:
            raise AnsibleLookupError(f"cannot read the prices of machines: {error}") from error
        newest = max(lists, key=lambda prices: prices["date"])["usd_per_hour"]
        return [newest.get(term, "") for term in terms]
