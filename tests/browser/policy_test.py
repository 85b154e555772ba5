#!/usr/bin/env python3
"""The page of the server: its policy names the hashes of its own style and script, so that no other
runs. It is small, and asks for nothing from elsewhere.

  policy_test.py PAGE            checks it
  policy_test.py --write PAGE    first writes the hashes into it, after a change
"""
import base64
import hashlib
import pathlib
import re
import sys

MOST = 40_000  # bytes


def source(tag, kind, text):
    inner = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
    assert len(inner) == 1, f"{len(inner)} elements {tag}, expected 1"
    digest = hashlib.sha256(inner[0].encode()).digest()
    return f"{kind}-src 'sha256-{base64.b64encode(digest).decode()}'"


def main():
    write = sys.argv[1] == "--write"
    page = pathlib.Path(sys.argv[-1])
    text = page.read_text(encoding="utf-8")
    sources = {kind: source(tag, kind, text) for tag, kind in (("script", "script"), ("style", "style"))}
    if write:
        for kind, right in sources.items():
            text = re.sub(rf"{kind}-src '[^']*'", lambda _: right, text, count=1)
        page.write_text(text, encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    directives = policy.split("; ")
    for right in sources.values():
        assert right in directives, f"{page}: the policy lacks {right}: run this test with --write"
    assert "default-src 'none'" in directives and "connect-src 'self'" in directives, policy
    size = len(text.encode())
    assert size < MOST, f"{page}: {size} bytes, expected less than {MOST}"
    found = re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\bon[a-z]+=|https?://", text)
    assert not found, f"{page}: {found[0]}"
    print(f"{page.name}: {size} bytes")


main()
