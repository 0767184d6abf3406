"""States of health checks (route53.md §2.7): True healthy, False unhealthy, None unknown."""

STATES = {"healthy": True, "unhealthy": False, "unknown": None}


class NeedState(Exception):
    """An unknown state was consulted while trying what it could be."""

    def __init__(self, subject):
        super().__init__(subject)
        self.subject = subject


class Health:
    """What is known of checks (`health`, `health_checks`) and of alias targets elsewhere (`external_health`).

    `assumed` is None in a plain evaluation, where consulted unknowns are noted in `unknown`. Otherwise it
    maps unknown subjects to a state, and consulting one it lacks raises NeedState.
    """

    def __init__(self, scenario, assumed=None):
        self.given = scenario.get("health", {})
        self.definitions = scenario.get("health_checks", {})
        self.targets = scenario.get("external_health", {})
        self.assumed = assumed
        self.unknown = set()

    def check_passes(self, check_id):
        """Unknown counts healthy, and only here, at the record (design.md §4)."""
        return self._check(check_id, ()) is not False

    def target_passes(self, target):
        """Health of an AWS alias target; unknown counts healthy."""
        return self._state("target:" + target, self.targets.get(target, "unknown")) is not False

    def _check(self, check_id, path):
        definition = self.definitions.get(check_id, {})
        if definition.get("Disabled"):  # healthy, or by Inverted the opposite, whatever it would find
            return not definition.get("Inverted")
        if check_id in path:
            return None
        inverted = bool(definition.get("Inverted"))
        if definition.get("Type") == "CALCULATED":
            return self._flip(self._calculated(definition, path + (check_id,)), inverted)
        if "Observed" not in definition:  # `health` holds states after inversion
            return self._state(check_id, self.given.get(check_id, "unknown"))
        if definition["Observed"] == "new":  # no data yet: healthy, unhealthy if inverted
            return not inverted
        return self._flip(self._state(check_id, definition["Observed"]), inverted)

    def _calculated(self, definition, path):
        """At least `HealthThreshold` children healthy; unknown when unknown children decide."""
        children = [self._check(child, path) for child in definition["ChildHealthChecks"]]
        threshold = definition["HealthThreshold"]
        if children.count(True) >= threshold:
            return True
        return None if children.count(True) + children.count(None) >= threshold else False

    def _state(self, subject, given):
        state = STATES[given]
        if state is not None:
            return state
        if self.assumed is None:
            self.unknown.add(subject)
            return None
        if subject not in self.assumed:
            raise NeedState(subject)
        return self.assumed[subject]

    @staticmethod
    def _flip(state, inverted):
        return state if state is None or not inverted else not state


def states(scenario):
    """The final state of every check that the scenario speaks of, in words."""
    health, words = Health(scenario), {True: "healthy", False: "unhealthy", None: "unknown"}
    return {check: words[health._check(check, ())] for check in {**health.given, **health.definitions}}
