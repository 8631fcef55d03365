#!/bin/sh
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Stops and removes the application of vars/odd.yml. Globs of units that are not there are no error.
systemctl disable --now 'odd-*.timer' 'odd-*.path' 2>/dev/null
systemctl stop odd.service odd-processes.service 2>/dev/null
set -eu
cd /etc/systemd/system
rm -rf odd.service odd.service.d odd-* ./*/odd-* /etc/cron.d/odd-* /etc/odd-maintenance /run/odd-*
rm -rf /usr/local/bin/odd-maintenance /usr/local/libexec/odd-* /var/lib/odd-maintenance
rm -rf /var/lib/systemd/timers/stamp-odd-* /srv/-n /tmp/pwned /var/tmp/odd-proof
systemctl daemon-reload
systemctl reset-failed
