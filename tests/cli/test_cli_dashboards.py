#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every expression of the dashboard and of the alerts asks for a series that exists, with labels that
it has and values that these can take.
"""

import json
import re

import command
import exposition

SELECTOR = re.compile(r'\b((?:kvrelay|lmcache)[a-z0-9_:]*)(?:\{([^}]*)\})?')
MATCHER = re.compile(r'(\w+)(=~|=|!=|!~)"([^"]*)"')
BY = re.compile(r'\bby \(([^)]*)\)')
OF_PROMETHEUS = {"instance", "job"}


class Dashboards(command.Case):
    def setUp(self):
        super().setUp()
        self.text = exposition.of_a_run(self)
        self.labels = {}
        for name, labels, _ in exposition.samples(self.text):
            of = self.labels.setdefault(name, {})
            for label, value in labels.items():
                of.setdefault(label, set()).add(value)
        self.folder = command.ARGS.source / "config" / "dashboards"

    def expressions(self):
        dashboard = json.loads((self.folder / "kvrelay-grafana.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"]
        rules = (self.folder / "kvrelay-alerts.yml").read_text()
        alerts = re.findall(r"- alert: (\w+)\n +expr: (?:\|\n((?: {10,}.*\n)+)|(.*)\n)", rules)
        self.assertEqual(len(alerts), rules.count("- alert:"))
        for name, block, line in alerts:
            yield name, block or line

    def test_every_series_exists(self):
        checked = 0
        for where, expression in self.expressions():
            names = set()
            for name, matchers in SELECTOR.findall(expression):
                self.assertIn(name, self.labels, where)
                names.add(name)
                for label, operator, value in MATCHER.findall(matchers or ""):
                    if label in OF_PROMETHEUS:
                        continue
                    self.assertIn(label, self.labels[name], (where, name))
                    if operator == "=":
                        self.assertIn(value, self.labels[name][label], (where, name, label))
            self.assertTrue(names, (where, expression))
            known = OF_PROMETHEUS.union(*(self.labels[name] for name in names))
            for group in BY.findall(expression):
                self.assertLessEqual({g.strip() for g in group.split(",")}, known, where)
            checked += 1
        self.assertGreater(checked, 20)

    def test_a_series_that_is_not_there_is_noticed(self):
        self.assertNotIn("kvrelay_tier_state_seconds", self.labels)
        self.assertEqual(SELECTOR.findall('rate(kvrelay_nothing{tier="x"}[5m])'), [("kvrelay_nothing", 'tier="x"')])

    def test_the_run_is_what_the_series_say(self):
        value = {(n, tuple(sorted(l.items()))): v for n, l, v in exposition.samples(self.text)}
        get = (("tier", "disk"), ("verb", "get"))
        keys = value["kvrelay_tier_keys_total", get]
        self.assertGreater(keys, 0)
        self.assertEqual(keys, value["kvrelay_tier_keys_ok_total", get] + value["kvrelay_tier_keys_miss_total", get])
        self.assertGreater(value["kvrelay_stage_seconds_count", (("stage", "decode"),)], 0)
        # Buckets never fall, and the last is the count.
        last, buckets = {}, 0
        for name, labels, v in exposition.samples(self.text):
            if not name.endswith("_bucket"):
                continue
            buckets += 1
            le = labels.pop("le")
            of = (name[:-7], tuple(sorted(labels.items())))
            self.assertGreaterEqual(v, last.get(of, 0), of)
            last[of] = v
            if le == "+Inf":
                self.assertEqual(v, value[of[0] + "_count", of[1]], of)
        self.assertGreater(buckets, 500)


if __name__ == "__main__":
    command.main(Dashboards.__module__)
