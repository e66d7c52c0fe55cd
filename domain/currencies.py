"""ISO 4217: the currencies that money may be in, and how many decimals their minor unit has."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_BY_MINOR_UNITS: Final[Mapping[int, str]] = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
        CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF
        IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK
        MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP
        SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER
        ZAR ZMW ZWG
    """,
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

#: Left the list in 2025 and 2026 (Netherlands Antillean guilder, Bulgarian lev); a document issued in one of them may
#: still need its credit note, and a credit note is in the currency of its original.
_WITHDRAWN: Final = "ANG BGN"

#: Code -> decimals of the minor unit.
MINOR_UNITS: Final[Mapping[str, int]] = MappingProxyType(
    {code: units for units, codes in _BY_MINOR_UNITS.items() for code in codes.split()}
    | dict.fromkeys(_WITHDRAWN.split(), 2)
)

#: Codes of the list that have no minor unit ("N.A."): metals, units of account, tests. No document can be in one.
WITHOUT_MINOR_UNITS: Final = frozenset(
    {"XAG", "XAU", "XBA", "XBB", "XBC", "XBD", "XDR", "XPD", "XPT", "XSU", "XTS", "XUA", "XXX"}
)
