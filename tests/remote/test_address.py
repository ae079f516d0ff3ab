"""`user@cluster:study`, and what could be taken for an option or for a command."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from neurofit.errors import UsageError
from neurofit.remote.address import parse
from neurofit.remote.connection import words


@pytest.mark.parametrize(
    ("text", "host", "folder"),
    [
        ("anna@cluster:studies/v1", "anna@cluster", "./studies/v1"),
        ("cluster:/scratch/anna/v1", "cluster", "/scratch/anna/v1"),
        ("cluster:~", "cluster", "~"),
        ("cluster:~/v1", "cluster", "~/v1"),
        ("cluster:-v1", "cluster", "./-v1"),
        ("cluster:a:b", "cluster", "./a:b"),
        ("cluster:two words; $(date) 'é'", "cluster", "./two words; $(date) 'é'"),
        ("anna@[fe80::1%eth0]:v1", "anna@fe80::1%eth0", "./v1"),
        ("anna@example.org@login-1.example.org:v1", "anna@example.org@login-1.example.org", "./v1"),
    ],
)
def test_an_address_has_a_host_and_a_folder(text, host, folder):
    address = parse(text)
    assert (address.host, address.folder, str(address)) == (host, folder, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no ':'"),
        ("cluster", "no ':'"),
        (":study", "host is missing"),
        ("anna@:study", "host is missing"),
        ("@cluster:study", "not the name of a user"),
        ("cluster:", "folder of the study is missing"),
        ("cluster: ", "folder of the study is missing"),
        ("-oProxyCommand=touch x:study", "cannot start with '-'"),
        ("anna@-oProxyCommand=x:study", "cannot start with '-'"),
        ("-l@cluster:study", "cannot start with '-'"),
        ("clu ster:study", "not the name of a host"),
        ("$(id):study", "not the name of a host"),
        ("cluster;id:study", "not the name of a host"),
        ("a`id`@cluster:study", "not the name of a user"),
        ("cluster:stu\ndy", "line break"),
        ("cluster:stu\0dy", "NUL"),
        ("cluster:~bob/study", "another user"),
        ("\x1bcluster:study", "not the name of a host"),
    ],
)
def test_what_is_not_an_address_is_explained(text, said):
    with pytest.raises(UsageError, match="--host") as error:
        parse(text)
    assert said in str(error.value)
    assert "\x1b" not in str(error.value)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_becomes_an_option_or_a_second_word_of_ssh(host, folder):
    try:
        address = parse(f"{host}:{folder}")
    except UsageError:
        return
    after = words(address)[words(address).index("--") + 1 :]
    assert after == [address.host, "exec sh -s"]
    assert not address.host.startswith("-")
    assert not set(address.host) & set(" \t\n;|&$`'\"\\<>(){}*?!#")
    assert address.folder.startswith(("/", "./", "~"))
