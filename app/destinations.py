"""Where SMS may go: to the countries of SMS_COUNTRIES, and to numbers that cost what a phone costs.

Without these limits, somebody with a token could send SMS to expensive numbers and be paid for each: SMS pumping.
"""

import phonenumbers
from phonenumbers import PhoneNumberType

from app.problems import Problem

PLAIN = (
    PhoneNumberType.MOBILE,
    PhoneNumberType.FIXED_LINE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE,  # in the United States, say, where numbers do not tell
    PhoneNumberType.VOIP,
    PhoneNumberType.TOLL_FREE,
)


class Destinations:
    """The countries that SMS may go to, by the two letters of ISO 3166; ValueError for one that does not exist."""

    def __init__(self, countries: str) -> None:
        self._countries = frozenset(countries.split(","))
        if unknown := self._countries - phonenumbers.SUPPORTED_REGIONS:
            raise ValueError(f"SMS_COUNTRIES names {', '.join(sorted(unknown))}, which is not a country")

    def require(self, number: str) -> None:
        """Raise Problem 422 for a number, in E.164 form, of another country or of a kind that may cost more.

        A number that no numbering plan has belongs to no country.
        """
        parsed = phonenumbers.parse(number)
        if phonenumbers.region_code_for_number(parsed) not in self._countries:
            raise Problem(422, "the number is not in one of SMS_COUNTRIES", where="body.to")
        if phonenumbers.number_type(parsed) not in PLAIN:
            raise Problem(422, "the number may cost more than a phone's", where="body.to")
