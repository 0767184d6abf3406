"""Which items a page holds, where the next one starts, and which page of a listing a call is."""

from __future__ import annotations

from dataclasses import dataclass

from errors import ApiError
from faults import Fault


@dataclass
class Page:
    """Items `first..end` of a listing, and the item the cursor names: None on the last page."""

    first: int
    end: int
    next: int | None
    show_truncated: bool = True


def cut(start: int, total: int, limit: int, fault: Fault | None) -> Page:
    """The page that starts at item `start`, bent by a page fault if one applies."""
    kind = fault.kind if fault else ""
    first = start
    if kind == "short_page":
        limit = min(limit, int(fault.params.get("n", 1)))
    if kind == "duplicate_last":
        first = max(0, start - 1)
    end = min(first + limit, total)
    following = end if end < total else None
    if kind == "repeat_cursor" and start < total:
        following = start
    return Page(first, end, following, kind != "drop_is_truncated")


def limit_of(query: dict[str, str], cap: int) -> tuple[int, str]:
    """Items per page, and the text for the MaxItems element.

    More than the cap is answered with the cap; the element repeats what was asked, as the model
    says ("the maximum number of records you requested").
    """
    asked = query.get("maxitems")
    if asked is None:
        return cap, str(cap)
    if not asked.isdigit() or int(asked) < 1:
        raise ApiError(400, "InvalidInput", f"maxitems must be a positive number, not {asked!r}")
    return min(cap, int(asked)), asked


class PageNumbers:
    """Numbers the pages of each listing by the cursor that asks for them.

    A retry of page 3 is page 3 again, because it brings the cursor that page 2 gave out. That
    makes "page 3 is throttled twice" mean what it says. A listing that starts over restarts at 1.
    """

    def __init__(self) -> None:
        self._pages: dict[tuple[str, str], dict[tuple, int]] = {}

    def number(self, op: str, scope: str, cursor: tuple | None) -> int | None:
        """1 without a cursor; None for a cursor that this process never gave out."""
        if cursor is None:
            return 1
        return self._pages.get((op, scope), {}).get(cursor)

    def give_out(self, op: str, scope: str, cursor: tuple, page: int) -> None:
        """Notes that `cursor` asks for `page`."""
        self._pages.setdefault((op, scope), {})[cursor] = page
