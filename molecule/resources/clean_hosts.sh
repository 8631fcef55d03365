#!/bin/sh
# Copyright (c) 2026, the feedforward.maintenance contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Stops and removes what a scenario ran on a host. Globs of units that are not there are no error.
systemctl disable --now feedforward.service 'feedforward-*.timer' 'feedforward-*.path' 2>/dev/null
systemctl stop 'feedforward-*.service' 2>/dev/null
set -eu
rm -rf /run/systemd/system/feedforward-*
cd /etc/systemd/system
rm -rf feedforward.service* feedforward-* ./*/feedforward-* ./*/feedforward.service
rm -rf /etc/cron.d/feedforward-* /usr/local/libexec/feedforward-* /usr/local/bin/feedforward-maintenance
rm -rf /etc/feedforward-maintenance /var/lib/feedforward-maintenance /var/lib/systemd/timers/stamp-feedforward-*
rm -rf /etc/feedforward-monitor /var/lib/feedforward-monitor
rm -rf /opt/feedforward /usr/local/lib/feedforward-demo /backups /secure
systemctl daemon-reload
systemctl reset-failed
