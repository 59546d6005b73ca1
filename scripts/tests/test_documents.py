"""Tests of scripts/readme-commands and scripts/doc-links: python3 -m unittest discover -s scripts/tests."""

import contextlib
import importlib.machinery
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

SCRIPTS = Path(__file__).resolve().parents[1]


def load(name):
    """A script without .py as a module."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(SCRIPTS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


commands = load("readme-commands")
links = load("doc-links")


class Documents(unittest.TestCase):
    def run_on(self, module, text):
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
            file = Path(folder) / "page.md"
            file.write_text(text)
            return module.main([str(file)]), said.getvalue()


class ReadmeCommands(Documents):
    def test_what_is_run(self):
        text = (
            "```sh\none\ntwo\n```\n<!-- not run: needs a cluster -->\n\n```sh\nthree\n```\n```rust\nfour\n```\n"
            "```console\n$ five \\\n> --six\nout\n$ seven\n```\nprints\n```text\nmore\n```\n"
            "```sh\neight\n```\n# Another matter\n```text\na drawing\n```\n"
        )
        found = [(command.script, command.claimed) for command in commands.commands_in(text)]
        self.assertEqual(found, [
            ("one\ntwo", []), ("five \\\n--six", ["out"]), ("seven", ["more"]), ("eight", []),
        ])

    def test_comparison(self):
        printed = "Compiling\n10,000 rows in 3.50 ms, 2.86 M rows/s, 486 MB/s, 9.1 MB\n2 workers\n1.2.3.4  0.5\n"
        self.assertIsNone(commands.missing_line(
            ["10,000 rows in 1.2 s, 21 k rows/s, 1.10 GB/s, 11 MB", "8 workers", "…", "1.2.3.4   0.5"], printed))
        self.assertIsNone(commands.missing_line(["10,000 rows in …"], printed))
        for wrong in ("10,001 rows in …", "1.2.3.4 0.6", "0.5"):
            self.assertEqual(commands.missing_line([wrong], printed), wrong)
        self.assertEqual(commands.missing_line(["1.2.3.4 0.5", "Compiling"], printed), "Compiling")

    def test_running(self):
        self.assertEqual(self.run_on(commands, "```sh\necho hello\n```\n```text\nhello\n```\n")[0], 0)
        code, said = self.run_on(commands, "```sh\necho hello\n```\nIt prints\n```text\nbye\n```\n")
        self.assertEqual(code, 1)
        self.assertIn("does not print, where claimed,\nbye\nbut prints\nhello", said)
        code, said = self.run_on(commands, "```sh\nfalse | true\necho not here\n```\n")
        self.assertEqual(code, 1)
        self.assertIn("exit code 1", said)

    def test_nothing_to_run_is_an_error(self):
        self.assertEqual(self.run_on(commands, "# Title\n")[0], 1)

    def test_the_sample_of_the_check_is_as_it_prints(self):
        readme = (SCRIPTS.parent / "README.md").read_text(encoding="utf-8")
        after = readme.split("```sh\nscripts/check\n```", 1)[1]
        sample = after.split("```text\n", 1)[1].split("\n```", 1)[0].replace("… s", "0 s").splitlines()
        # nextest's own line, which the check repeats.
        tests = sample.pop(-2)
        self.assertRegex(tests, r"^ +Summary \[ *[\d.]+s\] \d+ tests run: \d+ passed")
        with tempfile.TemporaryDirectory() as root:
            # Of a copy, as the real one may be running, and with a cargo that has nothing installed.
            for name in ("scripts", "bin"):
                (Path(root) / name).mkdir()
            check = shutil.copy(SCRIPTS / "check", Path(root) / "scripts")
            cargo = Path(root) / "bin" / "cargo"
            cargo.write_text("#!/bin/sh\nexit 1\n")
            cargo.chmod(0o755)
            path = f"{cargo.parent}:{os.environ['PATH']}"
            done = subprocess.run([check, "advisories"], check=True, capture_output=True, text=True, env=os.environ | {"PATH": path})
        closing = done.stdout.split("\n\n")[-1]
        self.assertIsNone(commands.missing_line(sample, closing))

    def test_no_endless_round(self):
        with mock.patch.dict(os.environ, {commands.GUARD: "1"}):
            self.assertEqual(self.run_on(commands, "```sh\ntrue\n```\n")[0], 1)


class DocLinks(Documents):
    def test_right_links(self):
        text = (
            "# Two words, `code`\n## Again\n## Again\n[a](page.md) [b](#two-words-code) [c](page.md#again-1) [d](https://x.y/z)\n"
            "`[no](link)`\n```text\n[no](link)\n```\n[e]: page.md\n![f](./page.md \"title\")\n"
        )
        self.assertEqual(self.run_on(links, text), (0, "1 documents, 0 links lead nowhere\n"))

    def test_wrong_links(self):
        for link, reason in (("gone.md", "no such file"), ("#nowhere", "no such heading"), ("page.md#no", "no such heading")):
            code, said = self.run_on(links, f"# Title\n[a]({link})\n")
            self.assertEqual(code, 1)
            self.assertIn(f"{link}: {reason}", said)
        self.assertEqual(self.run_on(links, "[a]: gone.md\n")[0], 1)


if __name__ == "__main__":
    unittest.main()
