"""Ansible's default output, except that a task which waits for a process tells how far that process is.

Without it, Ansible calls every look at a running process "FAILED - RETRYING".
"""

from __future__ import annotations

from ansible import constants as C
from ansible.plugins.callback.default import CallbackModule as Default

DOCUMENTATION = """
    name: millrace
    type: stdout
    short_description: the default output, with the progress of a run
    description:
        - As the default callback; results that have a key C(progress) are shown as that text while a task is retried.
    extends_documentation_fragment:
      - default_callback
      - result_format_callback
"""


class CallbackModule(Default):
    """The default callback with one method changed."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "millrace"

    def v2_runner_retry(self, result):
        """A look at something that is not finished: its progress, where it tells one."""
        progress = result.result.get("progress")
        if progress:
            self._display.display(f"  [{self.host_label(result)}] {progress}", color=C.COLOR_VERBOSE)
        else:
            super().v2_runner_retry(result)
