"""The programs of docs/notify.md pass on what they get: real programs, a server on loopback, our own `sendmail`."""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import re
import shutil
import threading
from pathlib import Path

import pytest

from neurofit.backends import notify
from neurofit.orchestrate.notices import example
from neurofit.study import Study

pytestmark = pytest.mark.process
PAGE = Path(__file__).resolve().parents[2] / "docs" / "notify.md"
SCRIPT = re.compile(r"cat > (\S+) <<'END'\n(.*?)^END$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    """A study with the programs of the page."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config").mkdir()
    for name, text in SCRIPT.findall(PAGE.read_text(encoding="utf-8")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return Study(tmp_path)


def run(study: Study, *words: str) -> tuple[notify.Ended, dict]:
    digest = example(study, "local")
    digest["text"] = f'ä "quoted" & <b>\n{digest["text"]}'
    return notify.run(words, json.dumps(digest), study.root), digest


def test_mail_has_the_text(study, monkeypatch):
    (study.root / "sendmail").write_text('#!/bin/sh\ncat > "$HOME/sent"\n')
    (study.root / "sendmail").chmod(0o755)
    monkeypatch.setenv("PATH", str(study.root), prepend=":")
    ended, digest = run(study, "scripts/mail.py", "me@example.org")
    assert ended.problem is None, ended.output
    message = email.message_from_bytes((study.root / "sent").read_bytes(), policy=email.policy.default)
    assert message["To"] == "me@example.org" and message["Subject"] == digest["subject"]
    assert message.get_content() == digest["text"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(("script", "config"), [("slack.sh", "slack-webhook"), ("ntfy.sh", "ntfy")])
def test_what_is_posted_has_the_text(study, script, config):
    posted = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200 if len(posted) == 1 else 403)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        (study.root / ".config" / config).write_text(f'url = "http://127.0.0.1:{server.server_port}/x"\n')
        ended, digest = run(study, f"scripts/{script}")
        assert ended.problem is None, ended.output
        assert (json.loads(posted[0])["text"] if script == "slack.sh" else posted[0]) == digest["text"]
        refused, _ = run(study, f"scripts/{script}")
        assert refused.exit_code == 22 and "403" in refused.output
    finally:
        server.shutdown()
        server.server_close()


def test_each_program_of_the_page_is_tried_here():
    names = {name for name, _ in SCRIPT.findall(PAGE.read_text(encoding="utf-8"))}
    assert names == {"scripts/mail.py", "scripts/slack.sh", "scripts/ntfy.sh"}
