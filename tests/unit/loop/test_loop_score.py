"""Batch scoring's ids: the same call, the same rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from evergreen.loop.score import compute_prediction_id

AS_OF = datetime(2026, 3, 1, 12, 30, 0, 250_000, tzinfo=UTC)


def test_the_id_follows_from_use_case_moment_and_key() -> None:
    made = compute_prediction_id("parcel", AS_OF, (7,))
    assert made == compute_prediction_id("parcel", AS_OF, (7,))
    others = {
        compute_prediction_id("parcel", AS_OF, (8,)),
        compute_prediction_id("letter", AS_OF, (7,)),
        compute_prediction_id("parcel", AS_OF + timedelta(microseconds=1), (7,)),
        compute_prediction_id("parcel", AS_OF, ("7",)),
    }
    assert len({made, *others}) == 5


def test_the_id_is_a_uuid_version_7_that_carries_the_moment() -> None:
    made = compute_prediction_id("parcel", AS_OF, (7,))
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert made.int >> 80 == int(AS_OF.timestamp() * 1000)


def test_ids_do_not_collide() -> None:
    assert len({compute_prediction_id("parcel", AS_OF, (n,)) for n in range(20_000)}) == 20_000
