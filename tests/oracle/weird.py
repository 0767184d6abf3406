"""Shapes that the API admits but nobody wants: loops, targets that are not there, odd health."""


def add_weird_shapes(rng, builder):
    for shape in rng.sample(SHAPES, rng.randint(3, 6)):
        shape(rng, builder)


def _alias(builder, name, target, rtype="A", evaluates=True, **fields):
    target = {"HostedZoneId": builder.zone_id, "DNSName": target, "EvaluateTargetHealth": evaluates}
    builder.add_set(name, rtype, AliasTarget=target, **fields)


def _name(builder, label):
    return f"odd-{label}.{builder.apex}"


def alias_loop(rng, builder):
    ring = [_name(builder, f"ring-{i}") for i in range(rng.randint(1, 3))]
    for i, name in enumerate(ring):
        _alias(builder, name, ring[(i + 1) % len(ring)], evaluates=rng.random() < 0.5)


def alias_to_missing(_rng, builder):
    _alias(builder, _name(builder, "missing"), f"odd-none.deep.{builder.apex}")


def failover_to_missing(rng, builder):
    name = _name(builder, "half-missing")
    _alias(builder, name, f"odd-none.deep.{builder.apex}", evaluates=rng.random() < 0.7, SetIdentifier="p", Failover="PRIMARY")
    builder.add_set(name, "A", SetIdentifier="s", Failover="SECONDARY", TTL=60, ResourceRecords=[{"Value": "10.50.0.2"}])


def alias_to_cname_owner(_rng, builder):
    builder.add(_name(builder, "cname"), "CNAME", 60, ["www.example.org"])
    _alias(builder, _name(builder, "to-cname"), _name(builder, "cname"))
    _alias(builder, _name(builder, "same-cname"), _name(builder, "cname"), rtype="CNAME")


def cname_loop(rng, builder):
    ring = [_name(builder, f"circle-{i}") for i in range(rng.randint(1, 3))]
    for i, name in enumerate(ring):
        builder.add(name, "CNAME", 60, [ring[(i + 1) % len(ring)]])


def long_cname_chain(rng, builder):
    """15 to 18 CNAMEs, around the limit of 16."""
    length = rng.randint(15, 18)
    for i in range(length):
        builder.add(_name(builder, f"chain-{i}"), "CNAME", 60 + i, [_name(builder, f"chain-{i + 1}")])
    builder.add(_name(builder, f"chain-{length}"), "A", 60, ["10.50.0.3"])


def lonely_failover(rng, builder):
    role = rng.choice(("PRIMARY", "SECONDARY"))
    fields = {"HealthCheckId": rng.choice(builder.checks)} if rng.random() < 0.7 else {}
    builder.add_set(_name(builder, "lonely"), "A", SetIdentifier="only", Failover=role, TTL=60,
                    ResourceRecords=[{"Value": "10.50.0.4"}], **fields)


def self_matching_wildcard(_rng, builder):
    _alias(builder, f"\\052.odd-star.{builder.apex}", f"any.odd-star.{builder.apex}")


def branch_without_a_match(rng, builder):
    """A weighted alias onto a geolocation group that has nothing for this VPC."""
    branch, name = _name(builder, "elsewhere"), _name(builder, "from-afar")
    builder.add_set(branch, "A", SetIdentifier="za", GeoLocation={"CountryCode": "ZA"}, TTL=60, ResourceRecords=[{"Value": "10.50.0.5"}])
    _alias(builder, name, branch, evaluates=rng.random() < 0.7, SetIdentifier="a", Weight=1)
    builder.add_set(name, "A", SetIdentifier="b", Weight=1, TTL=60, ResourceRecords=[{"Value": "10.50.0.6"}])


def odd_checks(_rng, builder):
    """A check disabled and inverted, and one that no longer exists."""
    for identifier, check in (("a", "hc-odd"), ("b", "hc-deleted"), ("c", None)):
        fields = {"HealthCheckId": check} if check else {}
        builder.add_set(_name(builder, "checks"), "A", SetIdentifier=identifier, MultiValueAnswer=True, TTL=60,
                        ResourceRecords=[{"Value": f"10.50.1.{ord(identifier)}"}], **fields)


def alias_below_cut(_rng, builder):
    if builder.delegated:
        _alias(builder, _name(builder, "below-cut"), builder.delegated[0])


SHAPES = (alias_loop, alias_to_missing, failover_to_missing, alias_to_cname_owner, cname_loop,
          long_cname_chain, lonely_failover, self_matching_wildcard, branch_without_a_match, odd_checks, alias_below_cut)
