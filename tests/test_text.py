"""Text that would control a terminal is shown, not obeyed."""

from __future__ import annotations

import json
import unicodedata

from hypothesis import given, strategies as st

from neurofit.text import cell_width, printable, printable_json, printable_log


@given(st.text())
def test_nothing_printable_is_changed_and_no_control_character_is_left(text):
    shown = printable(text)
    assert all(one in "\n\t" or unicodedata.category(one) != "Cc" for one in shown)
    if all(one in "\n\t" or one.isprintable() for one in text):
        assert shown == text


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_json_means_the_same(value):
    for ascii_only in (True, False):
        shown = printable_json(json.dumps(value, ensure_ascii=ascii_only, indent=2))
        assert json.loads(shown) == value
        assert all(one == "\n" or unicodedata.category(one) != "Cc" for one in shown)


def test_logs_lose_their_colours_and_their_carriage_returns_begin_lines():
    bar = "\x1b[32mgreen\x1b[0m\r 1/10\r 2/10\r\n\x08\x08done\x1b]0;title\x07\u202e"
    assert printable_log(bar) == "green\n 1/10\n 2/10\ndone\\x1b]0;title\\x07\\u202e"


def test_the_width_of_a_text_is_what_a_terminal_shows():
    assert cell_width("plain") == 5
    assert cell_width("漢字") == 4
    assert cell_width("e\u0301 \u200b") == 2, "combining marks and zero-width spaces take no column"
