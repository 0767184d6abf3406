"""Routing policies: which of the sets of one owner and type is given (route53.md §2.6, traps 7-10)."""

from collections import namedtuple
from fractions import Fraction

MAX_MULTIVALUE = 8

# What may be chosen: `sets` is one set, or for multivalue all those eligible (the reader takes up to eight).
Way = namedtuple("Way", "probability sets why")


def choose(sets, is_healthy, scenario):
    """Every way the group may be answered; an empty list is "no answer" (geolocation without a match)."""
    return _policy(sets)(sets, is_healthy, scenario)


def candidates(sets, scenario):
    """The sets that a query from this VPC could be given at all: for geolocation those that match."""
    return _geolocation_matches(sets, scenario) if "GeoLocation" in sets[0] else sets


def _policy(sets):
    first = sets[0]
    if "SetIdentifier" not in first:
        return _simple
    for key, policy in POLICIES.items():
        if key in first:
            return policy
    raise ValueError(f"no policy we model: {sorted(first)}")


def _simple(sets, _is_healthy, _scenario):
    if len(sets) != 1:
        raise ValueError(f"several simple record sets at {sets[0]['Name']} {sets[0]['Type']}")
    return [Way(Fraction(1), sets, "simple")]


def _weighted(sets, is_healthy, _scenario):
    """w/Σw among the healthy; zeros only if nothing heavier is left; none healthy: all count healthy."""
    healthy = [s for s in sets if is_healthy(s)]
    considered = healthy or sets
    heavy = [s for s in considered if s["Weight"] > 0]
    total = sum(s["Weight"] for s in heavy)
    state = "" if healthy else ", none healthy"
    if not heavy:
        return [Way(Fraction(1, len(considered)), [s], f"weighted {s['SetIdentifier']}, zeros{state}") for s in considered]
    return [Way(Fraction(s["Weight"], total), [s], f"weighted {s['SetIdentifier']} {s['Weight']}/{total}{state}") for s in heavy]


def _failover(sets, is_healthy, _scenario):
    """Healthy primary, else healthy secondary, else primary."""
    order = sorted(sets, key=lambda s: s["Failover"])  # PRIMARY sorts before SECONDARY
    return _first_healthy(order, is_healthy, "failover", lambda s: s["Failover"])


def _latency(sets, is_healthy, scenario):
    """The VPC's own Region, else the cheapest; the unhealthy are skipped."""
    def cost(record_set):
        region = record_set["Region"]
        is_far = region != scenario["vpc_region"]
        return is_far, scenario["latency"].get(region, float("inf")), region
    return _first_healthy(sorted(sets, key=cost), is_healthy, "latency", lambda s: s["Region"])


def _geolocation(sets, is_healthy, scenario):
    """The most specific healthy match; no match: no answer."""
    order = _geolocation_matches(sets, scenario)
    return _first_healthy(order, is_healthy, "geolocation", lambda s: "/".join(s["GeoLocation"].values()))


def _geolocation_matches(sets, scenario):
    def rank(record_set):
        place = record_set["GeoLocation"]
        if place.get("CountryCode") == "*":
            return 3
        if "ContinentCode" in place:
            return 2 if place["ContinentCode"] == scenario["continent"] else None
        if place["CountryCode"] != scenario["country"]:
            return None
        if "SubdivisionCode" in place:
            return 0 if place["SubdivisionCode"] == scenario["subdivision"] else None
        return 1
    return sorted((s for s in sets if rank(s) is not None), key=rank)


def _first_healthy(order, is_healthy, policy, label):
    if not order:
        return []
    healthy = [s for s in order if is_healthy(s)]  # all are consulted, so that unknown states are noted
    chosen = (healthy or order)[0]
    return [Way(Fraction(1), [chosen], f"{policy} {label(chosen)}" + ("" if healthy else ", none healthy"))]


def _multivalue(sets, is_healthy, _scenario):
    """Up to eight of the healthy; none healthy: of all. A CNAME has room for one only."""
    healthy = [s for s in sets if is_healthy(s)]
    eligible = healthy or sets
    why = f"multivalue {len(eligible)} of {len(sets)}" + ("" if healthy else ", none healthy")
    if eligible[0]["Type"] == "CNAME":
        return [Way(Fraction(1, len(eligible)), [s], why) for s in eligible]
    return [Way(Fraction(1), eligible, why)]


POLICIES = {
    "Weight": _weighted, "Failover": _failover, "Region": _latency,
    "GeoLocation": _geolocation, "MultiValueAnswer": _multivalue,
}
