"""How the terminal writes points in time."""

from __future__ import annotations

import datetime

from neurofit.cli.wording import local_time


def test_a_time_of_another_day_has_its_date():
    now = datetime.datetime.now(datetime.timezone.utc)
    for days in (-400, -2, 2):  # one day is not enough if midnight comes between, or in a day of 25 hours
        time = now + datetime.timedelta(days=days)
        assert local_time(time.isoformat()) == f"{time.astimezone():%Y-%m-%d %H:%M:%S}"


def test_a_time_of_today_has_no_date():
    noon = datetime.datetime.now().replace(hour=12, minute=3, second=4, microsecond=0).astimezone()
    assert local_time(noon.isoformat()) in (
        "12:03:04",
        f"{noon:%Y-%m-%d} 12:03:04",
    )  # the second at midnight itself
