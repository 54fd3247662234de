#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants bugs in the deciders and in the facade, one at a time, and shows that each of them is found.

  tests/swarm/mutants.py --build DIR [--cc gcc] [--seeds 2000] [--only NAME]...

Those in the deciders are for the swarm, else for the tests of deciders; those in the facade for the
test of ranks that share their keys, which is linked with the library but for the changed file.

  tests/swarm/mutants.py --places

only looks whether each place is still in the source, which takes no time.

Works on a copy of the sources in DIR. A planted bug that nobody finds is an error, and so is one
whose place is no longer in the source: then it has to be planted anew.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = ["-std=c11", "-O2", "-D_GNU_SOURCE", "-fno-strict-aliasing", "-w"]
INCLUDES = ["actors", "runtime", "runtime/base", "connectors/table", "config", "api", "tests/harness",
            "tests/swarm", "tests/actors", "tests/api"]

# name, what stands there (once in all of actors/), what is put in its place
MUTANTS = [
    ("staging slots of a part that was called back are not given back",
     "if (buf[i] != 0)\n\t\t\t\tkvr_router_staging_give(s, buf[i]);",
     "if (buf[i] != 0 && !part->cancelled)\n\t\t\t\tkvr_router_staging_give(s, buf[i]);"),
    ("a second try has no deadline",
     "\t\t.op = p->op,\n\t\t.deadline_ns = p->deadline_ns,\n\t\t.rows = p->rows,\n\t\t.part = p->part,\n"
     "\t\t.PART = {",
     "\t\t.op = p->op,\n\t\t.deadline_ns = p->retried ? UINT64_MAX : p->deadline_ns,\n\t\t.rows = p->rows,\n"
     "\t\t.part = p->part,\n\t\t.PART = {"),
    ("an early caller is told three times",
     "\t\t\tcomplete(s, op, KVR_DONEB_QUIET);\n\t\top->early = 0;",
     "\t\t\tcomplete(s, op, KVR_DONEB_QUIET);"),
    ("those behind a put that was ended are not told",
     "\tk->err = (int8_t)outcome_of_open_key(op, k);\n\top->pending--;\n\tkvr_router_put_settled(s, slot);\n",
     "\tk->err = (int8_t)outcome_of_open_key(op, k);\n\top->pending--;\n"),
    ("what is kept for promotion was never copied",
     "bool to_caller = part->stage == STAGE_COPY_OUT;", "bool to_caller = part->stage != STAGE_COPY_IN;"),
    ("a result is booked on the tier that is next",
     "struct outcome o = outcome_of(part, r, &end);\n",
     "struct outcome o = outcome_of(part, r, &end);\n\t\to.tier = op->tier;\n"),
    ("parts are late when the last key is told",
     "\tleave_parts(s, slot);\n\top->state", "\top->state"),
    ("a part that is late still has its say",
     "\t\tif (part->late)\n\t\t\tcontinue;\n", ""),
    ("a put that its deadline ended stays in the table",
     "\t\tif ((k->flags & KEY_IN_TABLE) != 0)\n\t\t\tkvr_router_put_forget(s, at);",
     "\t\tif ((k->flags & KEY_IN_TABLE) != 0 && k->err != KVR_E_TIMEOUT)\n\t\t\tkvr_router_put_forget(s, at);"),
    ("a store is handed a paged cache as a span",
     "op->kind == KVR_OP_PREFETCH || is_paged(op));", "op->kind == KVR_OP_PREFETCH);"),
    ("what goes to a paged cache is as long as it was encoded",
     "\t\trows[i].len = rows[i].body.raw_len;\n", ""),
    ("a payload that was not copied out is a hit",
     "\tif (r->err == KVR_OK)\n\t\treturn end->hit;", "\tif (r->err == KVR_OK)\n\t\treturn KVR_OK;"),
    ("a put waits for itself when it names a key twice",
     "if (next == PHASE_NONE && op->blocked > 0)", "if (op->blocked > 0)"),
    ("a part waits in a worker behind any other",
     "return (lane->n_parts == 0 || lane->until_ns <= deadline(p)) &&",
     "return (p->op != 0 || lane->until_ns <= deadline(p)) &&"),
    ("a lane that was stuck is never taken back",
     "\tme->stuck = 0;\n\tkvr_link_tell(me, out, me->told, KVR_OK, KVR_BLAME_NONE);",
     "\tme->stuck = 0;"),
    ("after a failed probe nobody probes again",
     "\tme->faults = 0;\n\tkvr_later(out, TIMER_COOL,",
     "\tme->faults = 0;\n\tif (me->backoff_ns == me->config.backoff_min_ns)\n"
     "\t\tkvr_later(out, TIMER_COOL,"),
    ("the leading run is cut one chunk too early",
     "i / op->per_chunk > op->cut_at / op->per_chunk", "i / op->per_chunk >= op->cut_at / op->per_chunk"),
    ("a hit is promoted to where it was found",
     "for (uint32_t t = 0; t < found_in; t++)", "for (uint32_t t = 0; t <= found_in; t++)"),
    ("only the first tier that answers is asked",
     "\tif (one_by_one(op) && op->pending == 0)\n\t\top->tiers = 0;",
     "\tif (one_by_one(op))\n\t\top->tiers = 0;"),
    ("tiers are asked in the wrong order",
     "op->tier = (uint8_t)__builtin_ctz(op->tiers);",
     "op->tier = (uint8_t)(31 - __builtin_clz(op->tiers));"),
    ("a change of the state is not named",
     "\tkvr_touch(s->out, &me->slot_free[me->n_slots_free], sizeof(uint32_t));\n\tme->slot_free[",
     "\tme->slot_free["),
    ("what is dropped is not counted",
     "\tmemset(p, 0, sizeof(*p));\n\tkvr_send(out, KVR_ID_ROUTER, &done);\n"
     "\tkvr_send(out, KVR_ID_METRICS, &stat);\n}\n\nvoid\nkvr_tier_sweep_at",
     "\tmemset(p, 0, sizeof(*p));\n\tkvr_send(out, KVR_ID_ROUTER, &done);\n\t(void)stat;\n}\n\n"
     "void\nkvr_tier_sweep_at"),
    ("memory is called quiet while a worker has it",
     "if (part->stage != STAGE_FREE && part->op == slot && part->borrowed)",
     "if (part->stage != STAGE_FREE && part->op == slot && part->borrowed > 1)"),
    ("if-absent writes what is there",
     "ask_result(struct step *s, struct op *op, struct key *k, const struct outcome *o)\n{\n\tif (o->err != KVR_OK)",
     "ask_result(struct step *s, struct op *op, struct key *k, const struct outcome *o)\n{\n"
     "\tif (o->err != KVR_OK || op->kind == KVR_OP_PUT)"),
    ("write-back reads the caller's memory",
     "\t} else if (back) {\n\t\tr->flags |= KVR_ROW_STAGED;\n\t}", "\t}"),
    ("nobody watches the deadline", "\tlater(s, slot, m->deadline_ns);\n", ""),
    ("the grace after a deadline has no end",
     "\t\tlater(s, slot, s->ev->now_ns + s->me->config.grace_ns);\n", ""),
    ("what is written back is counted for the first tier",
     "KVR_COUNT_PROMOTE_OK,\n\t\t    part->tier, n_ok);", "KVR_COUNT_PROMOTE_OK,\n\t\t    0, n_ok);"),
    ("a part that is called back in the queue of serdes comes back twice",
     "\t\tj->called = (int8_t)reason;\n\t\treturn KVR_STAY;\n", "\t\tj->called = (int8_t)reason;\n"),
    ("an operation is told ahead when the first of its copies has begun", "op->begun != op->parts)", "op->begun == 0)"),
    ("a put is told ahead while a tier is still to have its copies", "\t\treturn writes && last &&", "\t\treturn writes &&"),
    ("a put is told ahead though it has inherited a key", " && last && !kvr_router_has_inherited(me, op);", " && last;"),
    ("a put takes the outcome of one that was cancelled", "if (!is_broken_off(owner->err) || op->ahead != 0)",
     "if (owner->err != KVR_PENDING)"),
    ("a key is not put anew while the part of one that was cancelled is on its way", " &&\n\t\t    !is_broken_off(k->err))", ")"),
    ("what a put inherits is written in the middle of a pass",
     "(k->flags & (KEY_OWNER | KEY_BLOCKED)) == KEY_OWNER;", "(k->flags & KEY_OWNER) != 0;"),
    ("a remove does not see what is inherited", "return false;\n\tk->flags |= KEY_BLOCKED;",
     "return false;\n\tkvr_router_put_forget(s, slot);\n\tk->flags |= KEY_OWNER | KEY_BLOCKED;"),
    ("a put is told ahead when what it keeps for later has been copied",
     "(op->phase == PHASE_SAVE && kvr_router_through(me) == 0);", "op->phase == PHASE_SAVE;"),
    ("a put that is told ahead has no outcome but that", "if (op->state != OP_AHEAD || op->kind != KVR_OP_PUT)\n\t\t\tclose_key",
     "if (op->n > 0)\n\t\t\tclose_key"),
    ("a put is in its stores when its copies have begun",
     "i < part->n && part->stage == STAGE_COPY_OUT; i++)", "i < part->n; i++)"),
    ("what a put has begun is taken for its outcome", "if (part->begun && part->stage == STAGE_COPY_OUT)", "if (part->begun)"),
    ("what was told ahead of a copy that fails stays good",
     "if (o->err != KVR_OK && k->err == KVR_OK)\n\t\tkvr_router_revise", "if (o->err == KVR_OK && k->err != KVR_OK)\n\t\tkvr_router_revise"),
    ("a layer is fetched before its engine has it",
     "(uint32_t)l->ready - j->layer : 0;", "(uint32_t)l->ready - j->layer + (l->ready < l->of) : 0;"),
    ("a word that comes late takes layers back",
     "l->ready = KVR_MAX(l->ready, ev->msg.LAYERS.ready);", "l->ready = ev->msg.LAYERS.ready;"),
    ("a put by layers is over when it has its first",
     "return by_layers(j) && j->layer + j->n_layers <", "return j->place == PLACE_FREE && j->layer + j->n_layers <"),
    ("layers are those of whoever had the slot before",
     "return l->op == j->op && l->ready > j->layer", "return l->ready > j->layer"),
    ("layers begin anew after each wait", "j->layer = (uint16_t)(j->layer + j->n_layers);", "j->layer = 0;"),
    ("a part that is called back with layers in a hand waits for the next",
     "\tif (j->called != 0) {\n\t\tkvr_transfer_answer(out, j, j->called, 0);\n\t\treturn;\n\t}\n", ""),
    ("a put by layers tells with its first", "\t\tif (kvr_transfer_has_more_layers(me, j))\n\t\t\tmsg.COPY.tells = 0;\n", ""),
    ("a tier's time runs while an engine computes",
     "(op->phase == PHASE_WRITE && comes_by_layers(op));", "op->phase == PHASE_NONE;"),
    ("a tier has all of an operation's time when an engine was slow",
     "\t\tpart->until_ns = kvr_router_until(s, &s->me->op[part->op], part->tier);\n", "\t\tpart->until_ns += 0;\n"),
    ("a get by layers comes all at once",
     "(op->flags & KVR_OPF_LAYERS) != 0 && (to_caller || op->kind == KVR_OP_PUT);",
     "(op->flags & KVR_OPF_LAYERS) != 0 && op->kind == KVR_OP_PUT;"),
    ("what a get keeps waits for layers that nobody names",
     "(op->flags & KVR_OPF_LAYERS) != 0 && (to_caller || op->kind == KVR_OP_PUT);",
     "(op->flags & KVR_OPF_LAYERS) != 0;"),
    ("a cancel does not reach the lane",
     "\t\tmsg.PART_CANCEL.lane = p->lane;\n\t\tkvr_send(out, KVR_ID_LINK_OF(me->config.tier, p->lane), &msg);",
     "\t\tmsg.PART_CANCEL.lane = p->lane;"),
    ("a duplicate does not say so", "\t\tk->flags |= KEY_DUP;\n", ""),
    ("a remove overtakes the put of its key",
     "if (o->err == KVR_PENDING || o->sent != 0)", "if (o->err != KVR_PENDING && o->sent != 0)"),
    ("a remove does not wait for what is on its way behind an answer",
     "if (o->err == KVR_PENDING || o->sent != 0)", "if (o->err == KVR_PENDING)"),
    ("a remove leaves alone what is still to be written back",
     "call_off(s, at - 1);", "(void)call_off;"),
    ("a remove knows nothing of hits that are promoted",
     "kvr_router_enter(s, o->key, KEY_PROMOTES);", ";"),
    ("a remove waits for one writer only", "unblock(s, slot);\n\t\tkvr_router_overtake(s, slot);", "unblock(s, slot);"),
    ("a put has the outcome of one that was removed since",
     "(k->flags & (KEY_OWNER | KEY_GONE)) == KEY_OWNER", "(k->flags & KEY_OWNER) != 0"),
    ("removes are told as soon as puts are",
     "return owner->sent == 0 ? owner->behind : NO_KEY;", "return owner->behind;"),
    ("a limit of faults is lowered below what was counted",
     "\t\tif (c->faults != 0)\n\t\t\tme->faults = KVR_MIN(me->faults, c->faults - 1);\n", ""),
    ("a check that is switched off leaves its gate shut", "\tif (interval_ns == 0) {", "\tif (interval_ns == 1) {"),
    ("a canary writes to all tiers", "\t\top->tiers = of_op(op, kvr_router_through(s->me));", "\t\top->tiers = (uint8_t)kvr_router_through(s->me);"),
    ("an abort leaves what goes on behind answers", "state == OP_AHEAD || state == OP_BACK) {", "state == OP_AHEAD) {"),
    ("bytes of a part that came back stay in the budget",
     "\tme->n_parts--;\n\tme->bytes -= p->bytes;", "\tme->n_parts--;"),
    ("who holds slots waits for more",
     "\tif (holder != 0)\n\t\twrite_kept(s, holder - 1);\n\treturn holder != 0;", "\treturn false;"),
    ("who waits for another's put holds his slots",
     "\t\t\tif (op->kept > 0)\n\t\t\t\tkvr_router_enlist_holder(s, slot);", ""),
    ("what gives slots back stands behind those that wait for one",
     "\tif (op->phase == PHASE_BACK)\n\t\treturn KVR_CLASS_BACKGROUND;",
     "\tif (op->phase == PHASE_BACK && op->kind != KVR_OP_PREFETCH)\n\t\treturn KVR_CLASS_BACKGROUND;"),
    ("after writing what it kept a phase begins anew",
     "op->cursor = op->tier == op->rest_tier ? op->rest_cursor : 0;",
     "op->cursor = op->n;"),
    ("a cancel ends the operation that has the slot now, whose ever it is",
     "if (s.me->op[slot].id == ev->msg.op && s.me->op[slot].state != OP_BACK)",
     "if (s.me->op[slot].state != OP_BACK)"),
    ("a part has no generation: who has its place now is meant", ".gen = gen == 0 ? 1 : gen, .verb",
     ".gen = 0, .verb"),
    ("a cool-down does not answer those that wait",
     "ready = answer_all(me, ev, out, KVR_E_DOWN);", "ready = true;"),
    ("a deadline ends the operation that has the slot now", "op->state == OP_FREE || op->gen != s->ev->msg.TIMER.gen",
     "op->state == OP_FREE"),
    ("generations of timers begin anew with each operation", "*op = (struct op){ .gen = op->gen + 1 };",
     "*op = (struct op){ .n = 0 };"),
    ("memory that is back after the grace lets nobody go",
     "\tif (borrowed)\n\t\tkvr_router_eased(s, op_slot);\n", ""),
    ("a link takes an old timer", "\tif (ev->msg.TIMER.gen != me->watch_gen)\n\t\treturn KVR_STAY;\n", ""),
    ("a tier takes an old timer", "\tif (ev->msg.TIMER.gen != me->gen[which])\n\t\treturn KVR_STAY;\n", ""),
    ("an answer on a connection that was given up makes its successor", " && !ev->msg.LINK_STATE.was_up)", ")"),
    ("a connection that was given up is lost once more",
     "else if (lane->state == KVR_LINK_UP) {\n\t\tlost(", "else {\n\t\tlost("),
    ("any lane's connection closes the breaker",
     "(me->state == KVR_TIER_PROBING && lane == &me->lane[me->probe])) {", "me->state == KVR_TIER_PROBING) {"),
    ("any lane's failure ends the probe",
     "\tif (me->state == KVR_TIER_PROBING && lane == &me->lane[me->probe]) {\n\t\tcool(",
     "\tif (me->state == KVR_TIER_PROBING) {\n\t\tcool("),
    ("any lane that is stuck ends the probe",
     "\tif (me->state == KVR_TIER_PROBING && lane == &me->lane[me->probe])\n\t\tcool(",
     "\tif (me->state == KVR_TIER_PROBING)\n\t\tcool("),
    ("a restart costs as many faults as it has lanes", " && lane->conn > me->fault_conn", ""),
    ("a second try goes to a connection as old as the first", "if (p->retried && lane->conn <= p->after)",
     "if (p->part == 0)"),
    ("a part that is cancelled twice is answered in the words of the second",
     "p->place == PLACE_FREE || p->reason != KVR_OK", "p->place == PLACE_FREE"),
    ("any lane's ping is the answer to the health check", "h->asking == ASK_NONE || h->lane != (uint32_t)(lane - me->lane)",
     "h->asking == ASK_NONE"),
    ("what nobody asked is an answer to the health check", "h->asking == ASK_NONE || h->lane != (uint32_t)(lane - me->lane)",
     "h->lane != (uint32_t)(lane - me->lane)"),
    ("any lane that is dialed takes the health check's question with it",
     "\tif (me->health.lane != (uint32_t)(lane - me->lane))\n\t\treturn;\n", ""),
    ("a store that refuses puts goes on getting them",
     "p->verb == KVR_VERB_PUT && ev->now_ns < me->puts_at_ns)", "false)"),
    ("a refused put opens the breaker over gets",
     "t->n_store > 0 && kvr_refuses_writes((enum kvr_verb)verb, t->err)", "false"),
    ("the health check waits for a lane that is dialed", "\tkvr_tier_health_lost(me, out, lane);\n", ""),
    ("a lane that comes back has answered", "if (err != KVR_E_STUCK && !lane->stuck)", "if (err != KVR_E_STUCK)"),
    ("a lane waits for a ping that its connection took with it",
     "\tlane->redial_ns = 0;\n\tlane->ping_ns = 0;\n", "\tlane->redial_ns = 0;\n"),
    ("a lane that is lost waits for its ping", "\tlane->state = KVR_LINK_DOWN;\n\tlane->ping_ns = 0;\n\tme->links_up--;",
     "\tlane->state = KVR_LINK_DOWN;\n\tme->links_up--;"),
    ("a lane that answered its ping is still waited for", "\t\tlane->stuck = 0;\n\t\tlane->ping_ns = 0;\n\t\tif (err",
     "\t\tlane->stuck = 0;\n\t\tif (err"),
    ("a lane that is dialed is dialed again at its time", "\tlane->redial_ns = 0;\n\tlane->ping_ns = 0;\n", "\tlane->ping_ns = 0;\n"),
    ("a store that was full stays so", "\tif (taken != 0 && taken >= me->full_len)\n\t\tme->n_full = me->full_len = 0;\n", ""),
    ("a store is full of what is longer than the least that it refused",
     "refused : KVR_MIN(me->full_len, refused);", "refused : me->full_len;"),
    ("a node that is away is not told of", "\tif (t->n_away > 0)\n\t\tme->away_ns = ev->now_ns;\n", ""),
    ("a lane hangs from when it is told on", "lane->stuck_ns = ev->msg.LINK_STATE.since_ns;",
     "lane->stuck_ns = ev->now_ns;"),
    ("bytes of a put that joined another count twice", "op->bytes - op->joined;", "op->bytes;"),
    ("a worker that comes back has answered a dial", "\tme->stuck = 0;\n\tkvr_link_tell(me, out, me->told, KVR_OK, ",
     "\tme->stuck = 0;\n\tuint32_t told = me->told;\n\tme->told = KVR_LINK_DOWN;\n\tkvr_link_tell(me, out, told, KVR_OK, "),
]

# The same in api/*.c: the rewriting to worker 0 is lost in one kind of call.
KEY_TAKE = ("\tenum kvr_err err = kvr_key_take(\n"
            "\t    k, text, len, &k->ledger->texts[*text_at], room, &out, &side->digest);\n")


def lost_rewrite(call):
    return (f"\tbool was = k->rewrite;\n\n\tk->rewrite = was && !({call});\n{KEY_TAKE}\tk->rewrite = was;\n")


FACADE = [(f"the worker of a key is not changed in a {what}", KEY_TAKE, lost_rewrite(call)) for what, call in (
    ("lookup", "b->kind == KVR_LOOKUP"), ("get", "b->kind == KVR_GET"),
    ("get without blocking", "b->kind == KVR_GET && (c->flags & KVR_OPF_PREFIX) != 0"),
    ("question of sizes", "b->kind == KVR_SIZE"), ("prefetch", "b->kind == KVR_PREFETCH"),
    ("remove", "b->kind == KVR_REMOVE"))] + [
    ("a rank that does not write writes", "k->skip_puts = k->rewrite;", ""),
    ("of a batch of its puts only the first is skipped", "if (c->kind == KVR_PUT && k->skip_puts)",
     "if (c->kind == KVR_PUT && k->skip_puts && i == 0)"),
    ("keys are rewritten though the configuration says not to",
     "other && (!c->flat || c->lmcache.mla_worker_id_as0);", "other;"),
]


class Failed(Exception):
    pass


def run(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def libs(*names):
    done = subprocess.run(["pkg-config", "--cflags", "--libs", *names], check=True,
                          stdout=subprocess.PIPE, text=True)
    return done.stdout.split()


def place_of(folder, old):
    """The one file that has it, and its text."""
    texts = [(p, p.read_text()) for p in sorted(folder.glob("*.c"))]
    count = sum(text.count(old) for _, text in texts)
    if count != 1:
        raise Failed(f"its place is in the source {count} times; plant it anew:\n{old}")
    return next((p, text) for p, text in texts if old in text)


def look_for_places():
    bad = 0
    for where, mutants in (("actors", MUTANTS), ("api", FACADE)):
        for name, old, _ in mutants:
            try:
                place_of(ROOT / where, old)
            except Failed as e:
                print(f"BROKEN: {name}: {e}")
                bad += 1
    return 1 if bad else 0


class Tree:
    """A copy of the sources with its objects; a changed file costs one compilation."""

    def __init__(self, build, cc, sources, library, harness):
        self.cc = cc
        self.library = [str(harness), str(library), *self.needed_by(library)]
        # Those of the build: a list of our own would not know the next file.
        here = ROOT / "tests" / "swarm"
        names = [(here / s).resolve().relative_to(ROOT) for s in sources if s.endswith(".c")]
        # An object of a layer is named after its source.
        made = [re.search(r"[.]dir/(.*[.]c)[.]o$", s) for s in sources]
        self.all = sorted({str(n) for n in names} | {m[1] for m in made if m})
        self.root = build / "mutants"
        shutil.rmtree(self.root, ignore_errors=True)
        for name in INCLUDES:
            if name != "runtime/base": # it comes with runtime
                shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("*.txt"))
        self.xxhash = libs("libxxhash")
        self.check = libs("check")

    @staticmethod
    def needed_by(library):
        """What the static library wants to be linked with, as its package says."""
        package = dict(re.findall(r"^(\S+): (.+)$", (library.parent / "kvrelay.pc").read_text(), flags=re.M))
        names = [n.strip() for n in package.get("Requires.private", "").split(",") if n.strip()]
        return libs(*names) + package.get("Libs.private", "").split()

    def flags(self):
        return FLAGS + ["-I" + str(self.root / d) for d in INCLUDES] + [
            f'-DKVR_TRANSCRIPTS="{ROOT}/tests/actors"', f'-DKVR_GOLDEN="{ROOT}/tests/golden"']

    def compile(self, source):
        out = source.with_suffix(".o")
        if out.exists() and out.stat().st_mtime_ns > source.stat().st_mtime_ns:
            return out
        instructions = {"kvr_hash_avx2": ["-mavx2"], "kvr_hash_avx512": ["-mavx512f"]}.get(source.stem, [])
        done = run([self.cc, *self.flags(), *instructions, "-c", str(source), "-o", str(out)])
        if done.returncode != 0:
            raise Failed(f"{source.name} does not compile:\n{done.stdout}")
        return out

    def link(self, name, sources, libraries):
        program = self.root / name
        objects = [str(self.compile(self.root / source)) for source in sources]
        done = run([self.cc, *objects, "-o", str(program), *libraries, "-lpthread"])
        if done.returncode != 0:
            raise Failed(f"{name} does not link:\n{done.stdout}")
        return program

    def swarm(self):
        return self.link("swarm", self.all, self.xxhash)

    def decider_tests(self, noun, *beds):
        mine = [f"tests/actors/{name}.c" for name in (f"test_{noun}", *beds)]
        others = [s for s in self.all if not s.startswith("tests/swarm/")]
        return self.link(noun, others + mine, self.check + self.xxhash)

    def rank_tests(self, changed):
        """The test of ranks that share keys; what the archive has of the changed file is not taken."""
        sources = ["tests/api/test_mla.c", "tests/api/stores.c", str(changed.relative_to(self.root))]
        return self.link("ranks", sources, self.library + self.check)

    def plant(self, where, old, new):
        """Returns the file and what it was, to be put back."""
        path, text = place_of(self.root / where, old)
        self.write(path, text.replace(old, new))
        return path, text

    def write(self, path, text):
        path.write_text(text)
        path.with_suffix(".o").unlink(missing_ok=True)


def last_words(output):
    lines = [line for line in output.strip().split("\n") if line.strip()]
    told = [line for line in lines if re.match(r"seed \d+ at ", line)]
    return (told or lines or ["no word"])[-1]


def found_by_swarm(tree, seeds):
    """What the swarm says; None when it finds nothing."""
    program = tree.swarm()
    try:
        done = run([str(program), "--seeds", f"1..{seeds}", "--traces", str(tree.root)], timeout=900)
    except subprocess.TimeoutExpired:
        return "does not come to an end"
    return None if done.returncode == 0 else last_words(done.stdout)


def found_by_tests(program, **env):
    try:
        done = run([str(program)], timeout=300, cwd=program.parent, env={**os.environ, **env})
    except subprocess.TimeoutExpired:
        return "does not come to an end"
    return None if done.returncode == 0 else last_words(done.stdout)


def try_one(tree, mutant, where, finders):
    """finders: who looks for it, by name, until one of them finds it."""
    name, old, new = mutant
    path, text = tree.plant(where, old, new)
    try:
        for finder, look in finders.items():
            said = look(path)
            if said is not None:
                print(f"found by {finder}: {name}\n    {said}", flush=True)
                return True
    finally:
        tree.write(path, text)
    print(f"NOT FOUND: {name}", flush=True)
    return False


def main():
    if sys.argv[1:] == ["--places"]:
        return look_for_places()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--sources", nargs="+", required=True, help="of the swarm and of what it links")
    parser.add_argument("--library", type=Path, required=True, help="libkvrelay.a, its .pc file beside it")
    parser.add_argument("--harness", type=Path, required=True, help="what tests share, as an archive")
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    args = parser.parse_args()
    tree = Tree(args.build.resolve(), args.cc, args.sources, args.library, args.harness)
    def by_tests(noun, bed, **env):
        return lambda _: found_by_tests(tree.decider_tests(noun, bed), **env)

    # What takes a second comes before what takes many: most are found by any of the first seeds.
    of_deciders = {
        "the swarm": lambda _: found_by_swarm(tree, min(args.seeds, 100)),
        "those of a link": by_tests("link", "kvr_rig"),
        "those of a tier": by_tests("tier", "kvr_rig"),
        "those of what crosses": by_tests("tier_crossing", "kvr_rig"),
        "those of its breaker": by_tests("tier_breaker", "kvr_rig"),
        "those of its health": by_tests("health", "kvr_rig"),
        "those of paged caches": by_tests("router_paged", "router_bed"),
        "those of puts that are told ahead": by_tests("router_ahead_put", "router_bed"),
        "the router's tests": by_tests("router", "router_bed", KVR_SEEDS="300"),
        "more of the swarm": lambda _: found_by_swarm(tree, args.seeds),
    }
    of_facade = {"the test of ranks": lambda path: found_by_tests(tree.rank_tests(path))}
    said = found_by_swarm(tree, 100) or found_by_tests(tree.rank_tests(tree.root / "api" / "batch.c"))
    if said is not None:
        print(f"without any planted bug: {said}")
        return 1
    mutants = [(m, "actors", of_deciders) for m in MUTANTS] + [(m, "api", of_facade) for m in FACADE]
    mutants = [m for m in mutants if not args.only or any(o in m[0][0] for o in args.only)]
    bad = 0
    for mutant, where, finders in mutants:
        try:
            bad += not try_one(tree, mutant, where, finders)
        except Failed as e:
            print(f"BROKEN: {mutant[0]}: {e}", flush=True)
            bad += 1
    print(f"{len(mutants) - bad} of {len(mutants)} planted bugs were found")
    return 1 if bad or not mutants else 0


if __name__ == "__main__":
    sys.exit(main())
