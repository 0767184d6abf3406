"""The one exception that becomes an XML error reply."""

from __future__ import annotations


class ApiError(Exception):
    """An error the caller sees: HTTP status, AWS error code, message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def throttled() -> ApiError:
    """Route 53 throttles with HTTP 400, which most clients take for "do not retry"."""
    return ApiError(400, "Throttling", "Rate exceeded")


def no_such_zone(zone_id: str) -> ApiError:
    return ApiError(404, "NoSuchHostedZone", f"No hosted zone found with ID: {zone_id}")


def denied(action: str, zone_id: str) -> ApiError:
    return ApiError(
        403,
        "AccessDenied",
        f"User: arn:aws:sts::111122223333:assumed-role/zonelet/test is not authorized to perform: "
        f"route53:{action} on resource: arn:aws:route53:::hostedzone/{zone_id}",
    )
