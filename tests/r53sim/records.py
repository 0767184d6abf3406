"""Record sets as plain dictionaries in the shape of `aws route53 list-resource-record-sets`.

The field list, its order and its scalar types come from the botocore service model
(shape ResourceRecordSet). One table drives XML output, XML input and normalisation, so that no
field can be kept by one and forgotten by another.
"""

from __future__ import annotations

import names

TYPES = (
    "SOA A TXT NS CNAME MX NAPTR PTR SRV SPF AAAA CAA DS TLSA SSHFP SVCB HTTPS"
).split()

# Field -> how its text is read: a scalar kind, or a nested table.
FIELDS: dict = {
    "Name": str,
    "Type": str,
    "SetIdentifier": str,
    "Weight": int,
    "Region": str,
    "GeoLocation": {"ContinentCode": str, "CountryCode": str, "SubdivisionCode": str},
    "Failover": str,
    "MultiValueAnswer": bool,
    "TTL": int,
    "ResourceRecords": [{"Value": str}],
    "AliasTarget": {"HostedZoneId": str, "DNSName": str, "EvaluateTargetHealth": bool},
    "HealthCheckId": str,
    "TrafficPolicyInstanceId": str,
    "CidrRoutingConfig": {"CollectionId": str, "LocationName": str},
    "GeoProximityLocation": {
        "AWSRegion": str,
        "LocalZoneGroup": str,
        "Coordinates": {"Latitude": str, "Longitude": str},
        "Bias": int,
    },
}

# The fields of which a non-simple record set has exactly one.
POLICIES = (
    "Weight",
    "Region",
    "GeoLocation",
    "Failover",
    "MultiValueAnswer",
    "CidrRoutingConfig",
    "GeoProximityLocation",
)

# Name servers of every private zone: reserved, answering nobody (route53.md 2.4).
PRIVATE_NS = (
    "ns-1536.awsdns-00.co.uk.",
    "ns-0.awsdns-00.com.",
    "ns-1024.awsdns-00.org.",
    "ns-512.awsdns-00.net.",
)
PUBLIC_NS = (
    "ns-2001.awsdns-58.co.uk.",
    "ns-301.awsdns-37.com.",
    "ns-1201.awsdns-22.org.",
    "ns-701.awsdns-23.net.",
)
SOA_TAIL = "awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"

Key = tuple[str, str, str]


def normalise(record: dict) -> dict:
    """A copy with canonical names and only known fields, in model order.

    Values stay byte for byte as given: Route 53 returns them as they were written.
    """
    out = {field: record[field] for field in FIELDS if record.get(field) is not None}
    out["Name"] = names.normal(out["Name"])
    if "ResourceRecords" in out:
        out["ResourceRecords"] = [{"Value": one["Value"]} for one in out["ResourceRecords"]]
    if "AliasTarget" in out:
        target = dict(out["AliasTarget"])
        target["HostedZoneId"] = target["HostedZoneId"].removeprefix("/hostedzone/")
        target["DNSName"] = names.normal(target["DNSName"])
        target.setdefault("EvaluateTargetHealth", False)
        out["AliasTarget"] = target
    return out


def with_default_ttl(record: dict) -> dict:
    """Fills in TTL 300 where a test left it out and the set is not an alias."""
    if "AliasTarget" in record or "TTL" in record:
        return record
    return {**record, "TTL": 300}


def key(record: dict) -> Key:
    """Identity and place in the listing: name order, then type, then set identifier."""
    return (
        names.order(names.parse(record["Name"])),
        record["Type"],
        record.get("SetIdentifier", ""),
    )


def simple(name: str, rtype: str, ttl: int, *values: str) -> dict:
    """A record set without a routing policy."""
    return {
        "Name": name,
        "Type": rtype,
        "TTL": ttl,
        "ResourceRecords": [{"Value": value} for value in values],
    }


def generated(apex: str, prefix: str, count: int) -> list[dict]:
    """`count` A records `prefix-000000.apex` ... with distinct addresses in 10/8."""
    return [
        simple(
            f"{prefix}-{n:06d}.{apex}",
            "A",
            300,
            f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}",
        )
        for n in range(count)
    ]


def apex_defaults(apex: str, private: bool, soa: str | None, soa_ttl: int) -> list[dict]:
    """The SOA and NS that Route 53 puts into a new zone. `soa` replaces the SOA text as it is."""
    servers = PRIVATE_NS if private else PUBLIC_NS
    text = soa if soa is not None else f"{servers[0]} {SOA_TAIL}"
    return [
        simple(apex, "NS", 172800, *servers),
        simple(apex, "SOA", soa_ttl, text),
    ]
