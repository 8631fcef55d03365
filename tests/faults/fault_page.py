# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/reliability.md, made from the rows of a whole run."""

from __future__ import annotations

from collections.abc import Sequence

from fault_rows import Row

TEMPLATE = """\
# Reliability

The table is made by `make faults`, not by hand: the command that is installed on hosts is attacked on real files, by
real signals, real errors of the kernel and real disks, and after every single fault these promises are checked.

## What is promised

1. Every archive with a final name verifies in full.
2. The newest good archive from before the fault is still there, and still restores.
3. The live database passes `integrity_check`, and holds every row whose commit an application was told of.
4. After a restore that was interrupted at any point the database is wholly the old or wholly the new one, at the latest
   when the next run has ended it. Until then a journal lies beside the database, which keeps the application's unit
   from starting, and the next run of the same command finishes the job.
5. No temporary file outlives the next run.
6. The exit code and the status file tell the truth.

## What was tried

{total:,} faults, of which {broken} broke a promise.

{tables}

## How

- **Killed, failed calls.** `strace` records every system call of a run that changes a file: backup, retention,
  restore, undo, key rotation. Then the run is repeated and killed before one of these calls, or the call fails. Of many
  writes to the same file some are taken. A fault that was not delivered counts as broken.
- **Power loss.** The run is recorded with everything that it writes. A model of the file system plays it back up to a
  moment: content is safe after `fsync` of the file, entries of a directory after `fsync` of the directory, in the order
  in which they were made. The rest is dropped, kept, torn between sectors, or kept in part. Equal states count once.
- **Full and read-only disks** are loop devices with ext4. **Short writes** come from a FUSE file system.
- **Damage to archives** is judged by the engine in one process for the mass, and by the command's `verify` and
  `restore`.
- **Damage to databases**: a change that leaves a sound database cannot be seen by anybody who has nothing to compare it
  with. Those are counted apart. A damaged database never pushes a good archive out.
- **Hostile archives** are forged by somebody who has the key, so that every layer but the one that is attacked is as it
  must be. The bombs inflate to 4 GiB; the command may take 300 MB of memory and a minute. An archive that is forged
  like them and does no harm must be taken.
- **Beside a writer**: a ledger, chained by digests, whose entries add up to nothing, and a counter of the commits that
  were acknowledged. Every backup is restored and its ledger is followed from the first entry to the last. The writer's
  busy timeout is 100 ms. How long its commits took, with a backup at work and with nothing else, and how its log grew
  is told in a table of its own and decides nothing: the disk and the other processes of the machine are in it.
- **Two jobs at once** are started a little apart, or one is stopped at a system call until the other has ended. Half of
  them wait for the lock of the archives, the others do not. Each must do its work or say that it could not, and where
  one could not, the other must have done its own.
- **Planted defects**: twelve defects are put into the verifier, the restore and the retention, one after the other, and
  the tests of this project are run. A defect that no test sees counts as broken.

The rules behind it have a test each, by number, in `tests/faults/test_pitfalls.py`.

## What is not promised

- Whoever is root on the host can delete the archives there and use the key. Copies elsewhere that can only be appended
  to are the answer.
- A change of content that SQLite itself takes for sound, made before the backup, is backed up as it is.
- A disk that says that it has written what it has not.
- A process that ignores SQLite's locks and opens the database in the instant between the last look and the rename of a
  restore.

## To repeat it

    make faults                    # writes this page
    make faults ONLY="kill power"  # some of it
    make faults-long               # every call, every moment: hours

As root on Debian `make test` has installed what it needs: `strace`, `faketime`, `fuse3`, `python3-pyfuse3`.
"""


def page(rows: Sequence[Row]) -> str:
    """The whole page."""
    attacks = list(dict.fromkeys(one.attack for one in rows))
    tables = "\n\n".join(_table(attack, [one for one in rows if one.attack == attack]) for attack in attacks)
    return TEMPLATE.format(total=sum(one.tried for one in rows), broken=sum(len(one.broken) for one in rows) or "none",
                           tables=tables)  # fmt: skip


def _table(attack: str, rows: Sequence[Row]) -> str:
    lines = [f"### {attack}", "", "| fault | tried | how they ended | broken |", "|---|--:|---|--:|"]
    lines += [f"| {one.fault} | {one.tried:,} | {one.endings} | {len(one.broken) or 'none'} |" for one in rows]
    return "\n".join([*lines, *_figures(rows)])


def _figures(rows: Sequence[Row]) -> list[str]:
    """A table of what was measured; nothing where nothing was."""
    titles = list(dict.fromkeys(title for one in rows for title in one.figures))
    if not titles:
        return []
    lines = ["", f"| fault | {' | '.join(titles)} |", f"|---|{'--:|' * len(titles)}"]
    return lines + [f"| {one.fault} | {' | '.join(one.figures.get(title, '') for title in titles)} |" for one in rows
                    if one.figures]
