# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by tests/test_3_sandbox.py as the ExecStart of a job: tries what the job must not be able to do.

Prints one JSON object: what was tried -> "done", or the name of the error.
"""

import errno
import json
import os
import socket
import sys


def attempt(act, *arguments):
    try:
        act(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "done"


def write(path):
    with open(path, "ab"):
        pass


def make(directory):
    path = os.path.join(directory, ".sandbox-probe")
    write(path)
    os.unlink(path)


def connect(address):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(address)


directories = ("/etc", "/usr/local/bin", "/var/lib", "/opt/feedforward", "/secure", "/opt/feedforward/data", "/backups",
               "/backups/feedforward", "/dev/shm", "/dev/mqueue")  # fmt: skip
outcome = {directory: attempt(make, directory) for directory in directories}
outcome["/opt/feedforward/.env"] = attempt(write, "/opt/feedforward/.env")
outcome["/root"] = attempt(make, "/root")
outcome["seen of /root"] = sorted(os.listdir("/root")) if os.access("/root", os.R_OK) else []
outcome["/tmp/sandbox-probe"] = attempt(write, "/tmp/sandbox-probe")
outcome["address"] = attempt(connect, (sys.argv[1], 22))
outcome["loopback"] = attempt(connect, ("127.0.0.1", 22))
outcome["/dev/kmsg"] = attempt(write, "/dev/kmsg")
outcome["chroot"] = attempt(os.chroot, "/")
outcome["setuid"] = attempt(os.seteuid, 1)
print(json.dumps(outcome))
