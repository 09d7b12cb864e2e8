#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests files of `fanin model`: shards, resumption after kill -9, full disks, two writers; and `verify`, `diff`, `spec`.

    checkpoint_test.py PROGRAM [TEST...]
"""
import hashlib
import json
import math
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.path.abspath(sys.argv[1])
SPEC = {
    "name": "small", "dtype": "float32",
    "tensors": {"embed.weight": [1000, 64], "norm.weight": {"shape": [64], "dtype": "float64"},
                **{f"layers.{j}.{name}": shape for j in range(4)
                   for name, shape in (("attn.weight", [64, 192]), ("attn.bias", [192]), ("mlp.weight", {"shape": [64, 256], "dtype": "bfloat16"}))},
                "empty": [0, 3], "scalar": []},
    "rules": [{"match": "*norm.weight", "initializer": "ones"}, {"match": "*.bias", "initializer": "zeros"},
              {"match": "*", "initializer": {"class_name": "RandomNormal", "config": {"stddev": 0.02}}}],
}
# 96 MB: a run takes long enough to be killed in its midst.
LARGE = {"name": "large", "tensors": {f"w{j}": [1000, 2000] for j in range(12)}, "rules": [{"match": "*", "initializer": "he_normal"}]}


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, **options)


def header_of(path):
    data = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), 8 + length


def digest(path):
    """Of a file, or of the names and contents of a directory."""
    path = pathlib.Path(path)
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [(file.name if path.is_dir() else "", hashlib.sha256(file.read_bytes()).hexdigest()) for file in files]


def write_safetensors(path, tensors, metadata=None):
    """tensors: name to (dtype, shape, bytes)."""
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    pathlib.Path(path).write_bytes(struct.pack("<Q", len(text)) + text + data)


class InFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.spec = self.write_spec(SPEC)
        self.out = self.folder / "m.safetensors"

    def write_spec(self, spec, name="spec.json"):
        path = self.folder / name
        path.write_text(json.dumps(spec))
        return path

    def model(self, *arguments, spec=None, seed=7, out=None):
        result = run("model", spec or self.spec, "--seed", seed, "--out", out or self.out, *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def verify(self, status, *arguments, path=None):
        result = run("verify", path or self.out, *arguments)
        self.assertEqual(result.returncode, status, result)
        return result.stdout + result.stderr

    def left(self):
        return sorted(path.name for path in self.folder.iterdir() if path.name != "spec.json")


class Shards(InFolder):
    def test_files_and_index(self):
        self.model()
        single, begin = header_of(self.out)
        data = self.out.read_bytes()[begin:]
        directory = self.folder / "sharded"
        result = self.model("--shard-size", "100KB", out=directory)
        names = sorted(path.name for path in directory.iterdir())
        index = json.loads((directory / "model.safetensors.index.json").read_text())
        shards = [name for name in names if name != "model.safetensors.index.json"]
        self.assertGreater(len(shards), 3)
        self.assertEqual(shards, ["model-%05d-of-%05d.safetensors" % (j + 1, len(shards)) for j in range(len(shards))])
        self.assertIn("as %d files" % len(shards), result.stdout)
        single.pop("__metadata__")
        self.assertEqual(set(index["weight_map"]), set(single))
        self.assertEqual(index["metadata"]["total_size"], len(data))
        self.assertEqual(index["metadata"]["total_parameters"], 1000 * 64 + 64 + 4 * (64 * 192 + 192 + 64 * 256) + 1)
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        self.assertEqual((directory / "model.safetensors.index.json").read_text(), text)
        for shard in shards:
            header, start = header_of(directory / shard)
            content = (directory / shard).read_bytes()[start:]
            header.pop("__metadata__")
            large = [entry for entry in header.values() if entry["data_offsets"][1] - entry["data_offsets"][0] > 100_000]
            self.assertTrue(len(content) <= 100_000 or (large and len(header) == 1), shard)
            for name, entry in header.items():
                self.assertEqual(index["weight_map"][name], shard)
                first, last = entry["data_offsets"]
                there, end = single[name]["data_offsets"]
                self.assertEqual(content[first:last], data[there:end], name)
        self.assertEqual(self.left(), ["m.safetensors", "sharded"])
        self.assertIn("all are those of seed 7", self.verify(0, path=directory))
        self.verify(0, path=directory / "model.safetensors.index.json")
        self.verify(0, path=directory / shards[1])  # knows that it is one of several
        self.assertEqual(run("diff", self.out, directory).returncode, 0)

    def test_one_shard_has_no_index(self):
        self.model("--shard-size", "1GB", out=self.folder / "one")
        self.assertEqual(os.listdir(self.folder / "one"), ["model.safetensors"])
        self.verify(0, path=self.folder / "one")

    def test_an_old_directory_is_replaced_as_a_whole(self):
        directory = self.folder / "sharded"
        self.model("--shard-size", "50KB", out=directory)
        self.model("--shard-size", "200KB", out=directory, seed=8)
        self.assertIn("seed 8", self.verify(0, path=directory))
        before = digest(directory)
        (directory / "config.json").write_text("{}")
        result = run("model", self.spec, "--seed", 9, "--out", directory, "--shard-size", "100KB")
        self.assertEqual(result.returncode, 2)
        self.assertIn("config.json", result.stderr)
        (directory / "config.json").unlink()
        self.assertEqual(digest(directory), before)
        self.assertEqual(self.left(), ["sharded"])

    def test_sizes_and_names_are_checked(self):
        for size in ("0", "5XB", "-1", "", "5.5GB", "99999999999999999999", "9999999999GB"):
            result = run("model", self.spec, "--seed", 1, "--out", self.folder / "d", "--shard-size", size)
            self.assertEqual((result.returncode, "--shard-size" in result.stderr), (2, True), (size, result.stderr))
        for out, more in (("weird.npy", []), ("d", []), ("d.safetensors", ["--shard-size", "5GB"]), ("-", ["--resume"]),
                          ("-", ["--shard-size", "5GB"])):
            result = run("model", self.spec, "--seed", 1, "--out", out, *more, cwd=self.folder)
            self.assertEqual(result.returncode, 2, out)
            self.assertIn("--out", result.stderr)
        self.assertEqual(self.left(), [])

    def test_what_cannot_be_written_is_refused_before(self):
        huge = self.write_spec({"tensors": {"a": [2 ** 47, 2]}, "rules": [{"match": "*", "initializer": "zeros"}]})
        result = run("model", huge, "--seed", 1, "--out", self.out)
        self.assertEqual(result.returncode, 2)
        self.assertIn("room", result.stderr)
        overflow = self.write_spec({"dtype": "float64", "tensors": {"a%d" % j: [2 ** 56] for j in range(32)}, "rules": [{"match": "*", "initializer": "zeros"}]})
        result = run("model", overflow, "--seed", 1, "--out", self.out)
        self.assertEqual(result.returncode, 2)
        self.assertIn("2^63", result.stderr)
        ranks = self.write_spec({"tensors": {"a": [1] * 65}, "rules": [{"match": "*", "initializer": "zeros"}]})
        result = run("model", ranks, "--seed", 1, "--out", self.out)
        self.assertEqual(result.returncode, 2)
        self.assertIn("64", result.stderr)
        self.assertEqual(self.left(), [])

    def test_a_directory_of_anything_else_is_kept(self):
        inside = self.out.with_suffix("") / "model-best.safetensors"
        for make in (lambda: inside.mkdir(), lambda: inside.write_bytes(b"trained"),
                     lambda: inside.with_name("model-00001-of-00002.safetensors").mkdir()):
            inside.parent.mkdir()
            make()
            result = run("model", self.spec, "--seed", 1, "--shard-size", "1KB", "--out", inside.parent)
            self.assertEqual(result.returncode, 2)
            self.assertIn("Cannot replace the directory", result.stderr)
            self.assertEqual(len(list(inside.parent.iterdir())), 1)
            shutil.rmtree(inside.parent)

    def test_the_place_of_unfinished_files_is_no_link(self):
        elsewhere = self.folder / "elsewhere"
        (elsewhere / "data").mkdir(parents=True)
        partial = self.folder / f".{self.out.name}.fanin-partial"
        partial.symlink_to(elsewhere)
        for arguments in (["model", self.spec], ["fill", "--init", "zeros", "--shape", "2", "--format", "bin"]):
            result = run(*arguments, "--seed", 1, "--out", self.out)
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"{partial.name}\", which is no", result.stderr)
            self.assertTrue((elsewhere / "data").is_dir())

    def test_a_report_has_a_place_of_its_own(self):
        directory = self.out.with_suffix("")
        self.model("--shard-size", "1KB", spec=self.spec, out=directory)
        for out, report, says in ((directory, directory / "report.json", "directory of --out"), ("-", "/dev/stdout", "one stream")):
            size = ["--shard-size", "1KB"] if out is directory else []
            result = run("model", self.spec, "--seed", 1, *size, "--out", out, "--report", report)
            self.assertEqual(result.returncode, 2)
            self.assertIn(says, result.stderr)
            self.assertEqual(result.stdout, "")
        self.assertNotIn("report", str(self.left()))

    def test_arguments_that_are_missing_or_negative(self):
        self.assertIn("--out is missing", run("model", self.spec, "--seed", 1, "--shard-size", "1KB").stderr)
        for command in (["verify", self.out], ["diff", self.out, self.out]):
            self.assertIn("--threads takes", run(*command, "--threads", -3).stderr)

    def test_messages_have_no_control_characters(self):
        index = self.folder / "m.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"a": "\x1b[31m.safetensors"}}))
        result = run("verify", index)
        self.assertEqual(result.returncode, 2)
        self.assertIn("?[31m.safetensors", result.stderr)
        self.assertNotIn("\x1b", result.stderr)

    def test_a_checkpoint_is_no_pipe(self):
        pipe = self.folder / "pipe.safetensors"
        os.mkfifo(pipe)
        for command in (["verify", pipe], ["spec", self.folder]):
            self.assertIn("is no file, but a pipe", run(*command).stderr)


class Interruptions(InFolder):
    def setUp(self):
        super().setUp()
        self.spec = self.write_spec(LARGE)

    def killed(self, after, *arguments, out):
        process = subprocess.Popen([PROGRAM, "model", str(self.spec), "--seed", "7", "--out", str(out), *arguments],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        process.kill()
        return process.wait()

    def test_kill_9_then_resume(self):
        rng = random.Random(19)
        for sharded in (False, True):
            extra = ["--no-stats", "--resume"] + (["--shard-size", "20MB"] if sharded else [])
            whole = self.folder / ("whole" if sharded else "whole.safetensors")
            begin = time.monotonic()
            self.model(*extra, out=whole)
            duration = time.monotonic() - begin
            expected = digest(whole)
            kills = resumed = 0
            for case in range(15):
                out = self.folder / ("d%d" % case if sharded else "f%d.safetensors" % case)
                for _ in range(rng.choice([1, 1, 2])):
                    kills += self.killed(rng.uniform(0, 0.9 * duration), *extra, out=out) == -signal.SIGKILL
                result = self.model(*extra, out=out)
                resumed += "were there before" in result.stdout
                self.assertEqual(digest(out), expected, case)
                self.assertEqual([name for name in self.left() if "partial" in name], [])
                if sharded:
                    for path in out.iterdir():
                        path.unlink()
                    out.rmdir()
                else:
                    out.unlink()
            self.assertGreaterEqual(kills, 8)
            self.assertGreaterEqual(resumed, 3)

    def pieces(self, *arguments, out=None):
        """Leaves pieces of an unfinished run, of at least 10 MB, and returns their folder."""
        out = out or self.out
        folder = out.parent / f".{out.name}.fanin-partial"
        process = subprocess.Popen([PROGRAM, "model", str(self.spec), "--seed", "7", "--threads", "1", "--out", str(out), *arguments],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not ((folder / "data").exists() and (folder / "data").stat().st_size > 10_000_000):
            time.sleep(0.001)
        process.kill()
        self.assertEqual(process.wait(), -signal.SIGKILL)
        return folder

    def test_pieces_of_another_output_are_not_taken(self):
        self.pieces()
        result = self.model("--resume", seed=8)
        self.assertNotIn("before", result.stdout)
        self.verify(0, "--seed", 8)
        self.assertEqual(self.left(), ["m.safetensors"])
        os.rename(self.pieces() / "data", self.out)  # as a run does at its end
        self.model("--resume", seed=8)
        self.verify(0, "--seed", 8)

    def test_damaged_pieces_are_not_taken(self):
        folder = self.pieces("--resume")
        with open(folder / "data", "r+b") as file:
            file.seek(9_000_000)
            file.write(bytes(2_000_000))
        self.model("--resume")
        self.verify(0)

    def test_pieces_from_a_loaded_file_that_changed_are_not_taken(self):
        base = self.folder / "base.safetensors"
        self.spec = self.write_spec({**LARGE, "tensors": {"loaded": [250_000], **LARGE["tensors"]},
                                     "rules": [{"match": "loaded", "load": base.name}, *LARGE["rules"]]})
        for last in (b"\0\0\0\0", b"\0\0\x80?"):
            write_safetensors(base, {"loaded": ("F32", [250_000], bytes(999_996) + last)})
            if last[-1] == 0:
                self.pieces("--resume")
        result = self.model("--resume")
        self.assertNotIn("before", result.stdout)
        self.verify(0)  # the loaded file is beside the checkpoint
        self.verify(0, "--spec", self.spec, "--seed", 7)

    def test_without_resume_pieces_are_removed(self):
        self.pieces("--resume")
        result = self.model()
        self.assertNotIn("before", result.stdout)
        self.assertEqual(self.left(), ["m.safetensors"])
        self.verify(0)

    def test_a_second_writer_is_refused(self):
        for arguments, out in (([], self.out), (["--shard-size", "20MB"], self.folder / "d")):
            first = subprocess.Popen([PROGRAM, "model", str(self.spec), "--seed", "7", "--threads", "1", "--out", str(out), *arguments],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.addCleanup(first.stderr.close)
            partial = self.folder / f".{out.name}.fanin-partial" / "data"
            while not partial.exists() and first.poll() is None:
                time.sleep(0.001)
            first.send_signal(signal.SIGSTOP)  # so that it cannot end before the second one begins
            try:
                for more in ([], ["--resume"]):
                    second = run("model", self.spec, "--seed", 8, "--out", out, *arguments, *more)
                    self.assertEqual(second.returncode, 2)
                    self.assertIn("another process", second.stderr)
            finally:
                first.send_signal(signal.SIGCONT)
            self.assertEqual(first.wait(), 0)
            self.verify(0, path=out)

    def test_signals_leave_nothing(self):
        self.out.write_bytes(b"precious")
        program = pathlib.Path(PROGRAM).read_bytes()
        is_sanitized = b"__asan_init" in program or b"__tsan_init" in program
        is_emulated = program[18:20] != pathlib.Path(sys.executable).read_bytes()[18:20]  # for another machine
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF,
                       signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS,
                       signal.SIGFPE, signal.SIGSEGV, signal.SIGIO, signal.SIGSYS, signal.SIGRTMIN, signal.SIGRTMAX):
            if is_sanitized and number in (signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV):
                continue  # sanitizers report these themselves
            if is_emulated and number >= signal.SIGRTMIN:
                continue  # QEMU gives programs other numbers of these
            process = subprocess.Popen([PROGRAM, "model", str(self.spec), "--seed", "7", "--threads", "1", "--out", str(self.out)],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
            while not (self.folder / ".m.safetensors.fanin-partial" / "data").exists() and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(number)
            self.assertEqual(process.wait(), -number)
            self.assertEqual(self.left(), ["m.safetensors"], number)
        self.assertEqual(self.out.read_bytes(), b"precious")

    def test_a_full_disk(self):
        # A limit on the size of files stands for a full disk, which needs a disk of its own.
        self.out.write_bytes(b"precious")
        whole = self.folder / "whole.safetensors"
        self.assertIn("; no statistics were measured\n", self.model("--no-stats", out=whole).stdout)
        size = whole.stat().st_size
        expected = digest(whole)
        for tenth in range(10):
            limit = size * tenth // 10 + 100
            limited = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))  # noqa: B023
            result = run("model", self.spec, "--seed", 7, "--no-stats", "--out", self.out, preexec_fn=limited)
            self.assertEqual(result.returncode, 2)
            self.assertIn("File too large", result.stderr)
            self.assertEqual(self.out.read_bytes(), b"precious")
            self.assertEqual(self.left(), ["m.safetensors", "whole.safetensors"])
        # With --resume the pieces stay, and the next run needs no more than the rest.
        limited = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        result = run("model", self.spec, "--seed", 7, "--no-stats", "--resume", "--out", self.out, preexec_fn=limited)
        self.assertEqual(result.returncode, 2)
        self.assertEqual(self.out.read_bytes(), b"precious")
        self.assertIn("were there before", self.model("--no-stats", "--resume").stdout)
        self.assertEqual(digest(self.out), expected)

    def test_a_disk_of_its_own_that_fills_up(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True).returncode != 0:
            self.skipTest("cannot mount a tmpfs")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=True)
        result = run("model", self.spec, "--seed", 7, "--out", disk / "m.safetensors")
        self.assertEqual(result.returncode, 2)
        self.assertIn("has room for", result.stderr)
        self.assertEqual(os.listdir(disk), [])
        # Something else takes the room while the model is written.
        subprocess.run(["mount", "-o", "remount,size=112m", str(disk)], check=True)
        (disk / "old.safetensors").write_bytes(b"precious")
        for tenth in range(10):
            process = subprocess.Popen([PROGRAM, "model", str(self.spec), "--seed", "7", "--threads", "1", "--out", str(disk / "old.safetensors")],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            data = disk / ".old.safetensors.fanin-partial" / "data"
            while not data.exists() and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGSTOP)  # while the room is counted
            room = os.statvfs(disk)
            rest = 96_000_000 - (data.stat().st_size if data.exists() else 0)
            (disk / "other").write_bytes(bytes(room.f_bfree * room.f_bsize - rest * tenth // 10))
            process.send_signal(signal.SIGCONT)
            errors = process.communicate()[1]
            self.assertEqual(process.returncode, 2, tenth)
            self.assertRegex(errors, "No space left|has room for")  # where the signal came after the room was counted, or before
            self.assertEqual(sorted(os.listdir(disk)), ["old.safetensors", "other"])
            self.assertEqual((disk / "old.safetensors").read_bytes(), b"precious")
            (disk / "other").unlink()

    def test_a_folder_that_vanishes(self):
        for arguments, name in (([], "m.safetensors"), (["--shard-size", "20MB"], "d"), (["--resume"], "m.safetensors")):
            folder = self.folder / "vanishing"
            folder.mkdir()
            process = subprocess.Popen([PROGRAM, "model", str(self.spec), "--seed", "7", "--threads", "1", "--out", str(folder / name), *arguments],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            while not (folder / f".{name}.fanin-partial" / "data").exists() and process.poll() is None:
                time.sleep(0.001)
            process.send_signal(signal.SIGSTOP)  # so that it cannot end before
            shutil.rmtree(folder)
            process.send_signal(signal.SIGCONT)
            errors = process.communicate()[1]
            self.assertEqual(process.returncode, 2, errors)
            self.assertIn("vanishing", errors)
            self.assertFalse(folder.exists())

    def test_a_folder_that_nobody_can_write_to(self):
        result = run("model", self.spec, "--seed", 7, "--out", "/proc/self/m.safetensors")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, "Cannot write .*/proc")

    def test_a_loaded_file_that_vanishes(self):
        base = self.folder / "base.safetensors"
        write_safetensors(base, {"loaded": ("F32", [2], bytes(8))})
        spec = {"tensors": {**LARGE["tensors"], "loaded": [2]}, "rules": [{"match": "loaded", "load": base.name}, *LARGE["rules"]]}
        self.out.write_bytes(b"precious")
        process = subprocess.Popen([PROGRAM, "model", str(self.write_spec(spec)), "--seed", "7", "--threads", "1", "--out", str(self.out)],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while not (self.folder / ".m.safetensors.fanin-partial" / "data").exists() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        base.unlink()
        process.send_signal(signal.SIGCONT)
        errors = process.communicate()[1]
        self.assertEqual(process.returncode, 2, errors)
        self.assertIn(base.name, errors)
        self.assertEqual(self.out.read_bytes(), b"precious")
        self.assertEqual(self.left(), ["m.safetensors"])


class Verify(InFolder):
    def setUp(self):
        super().setUp()
        self.model()
        self.header, self.begin = header_of(self.out)
        self.header.pop("__metadata__")

    def change(self, name, change):
        data = bytearray(self.out.read_bytes())
        first, last = (self.begin + offset for offset in self.header[name]["data_offsets"])
        data[first:last] = change(bytes(data[first:last]))
        path = self.folder / "changed.safetensors"
        path.write_bytes(data)
        return path

    def test_single_bits(self):
        rng = random.Random(3)
        original = self.out.read_bytes()
        names = {}
        for name, entry in self.header.items():
            first, last = entry["data_offsets"]
            names[range(self.begin + first, self.begin + last)] = name
        lasts = [8 * place.stop - 1 for place in names if len(place) > 0]
        for bit in [rng.randrange(8 * self.begin, 8 * len(original)) for _ in range(200)] + lasts:
            data = bytearray(original)
            data[bit // 8] ^= 1 << bit % 8
            self.out.write_bytes(data)
            output = self.verify(1)
            name = next(name for place, name in names.items() if bit // 8 in place)
            entry = self.header[name]
            size = {"F64": 8, "F32": 4, "BF16": 2}[entry["dtype"]]
            element = (bit // 8 - self.begin - entry["data_offsets"][0]) // size
            place = []
            for extent in reversed(entry["shape"]):
                place.insert(0, str(element % extent))
                element //= extent
            self.assertIn("%s %s %s: 1 of " % (name, str(entry["shape"]), entry["dtype"]), output)
            self.assertIn("at [%s] the file has" % ", ".join(place), output)

    def test_diagnoses(self):
        zeros = self.change("layers.2.attn.weight", lambda data: bytes(len(data)))
        output = self.verify(1, path=zeros)
        self.assertIn("12288 of 12288 elements differ", output)
        self.assertIn("never filled", output)
        other = self.folder / "other.safetensors"
        self.model(out=other, seed=99)
        header, begin = header_of(other)
        first, last = (begin + offset for offset in header["layers.1.mlp.weight"]["data_offsets"])
        seed = self.change("layers.1.mlp.weight", lambda data: other.read_bytes()[first:last])
        self.assertIn("values of seed 99", self.verify(1, "--seeds", "5,99", path=seed))
        self.assertNotIn("values of seed", self.verify(1, path=seed))
        self.assertIn("values of seed 99", self.verify(1, "--spec", self.spec, "--seeds", "99,7", path=seed))
        rows = self.change("embed.weight", lambda data: data[128000:] + data[:128000])
        self.assertIn("axis 0, in 2 shards whose order is 1, 0", self.verify(1, path=rows))

        def columns(data):
            lines = [data[j:j + 768] for j in range(0, len(data), 768)]
            return b"".join(line[256:512] + line[:256] + line[512:] for line in lines)
        permuted = self.change("layers.0.attn.weight", columns)
        self.assertIn("axis 1, in 3 shards whose order is 1, 0, 2", self.verify(1, path=permuted))
        swapped = self.change("layers.0.attn.weight", lambda data: self.tensor("layers.3.attn.weight"))
        self.assertIn("values of the tensor layers.3.attn.weight", self.verify(1, path=swapped))

    def tensor(self, name):
        first, last = (self.begin + offset for offset in self.header[name]["data_offsets"])
        return self.out.read_bytes()[first:last]

    def test_files_of_others(self):
        tensors = {name: (entry["dtype"], entry["shape"], self.tensor(name)) for name, entry in reversed(self.header.items())}
        path = self.folder / "other.safetensors"
        write_safetensors(path, tensors)
        self.assertIn("does not say", self.verify(2, path=path))
        self.verify(2, "--spec", self.spec, path=path)
        self.verify(0, "--spec", self.spec, "--seed", "7", path=path)
        self.verify(1, "--spec", self.spec, "--seed", "8", path=path)
        self.verify(0, "--spec", self.spec, "--seeds", "8,7", path=path)
        write_safetensors(path, tensors | {"more": ("I64", [1], bytes(8))})
        self.assertIn("more [1] I64: not in the specification", self.verify(2, "--spec", self.spec, "--seed", "7", path=path))
        tensors.pop("scalar")
        write_safetensors(path, tensors)
        self.assertIn("scalar [] F32: missing", self.verify(1, "--spec", self.spec, "--seed", "7", path=path))

    def test_a_specification_that_was_changed_on_the_command_line(self):
        spec = self.write_spec({"constants": {"n": 4}, "tensors": {"a": ["n", "n"], "b": [8]}, "rules": [{"match": "*", "initializer": "he_normal"}]}, "v.json")
        self.model("--constant", "n=6", "--dtype", "bfloat16", spec=spec)
        self.verify(0)
        self.verify(0, "--spec", spec)
        other = self.write_spec({"tensors": {"a": [4, 4], "b": [8]}, "rules": [{"match": "*", "initializer": "he_normal"}]}, "w.json")
        self.assertIn("the specification says [4, 4] F32", self.verify(1, "--spec", other))
        shards = self.folder / "shards"
        self.model("--shard-size", "80B", spec=spec, out=shards)
        first = sorted(shards.glob("*.safetensors"))[0]
        self.assertIn("1 tensors", self.verify(0, path=first))
        self.verify(0, "--spec", spec, path=first)

    def test_scaled_values(self):
        rule = {"match": "*", "dtype": "float8_e4m3fn", "output_scale": "0.1 / 448", "rounding": "stochastic",
                "initializer": {"class_name": "RandomNormal", "config": {"stddev": 0.02}}}
        spec = self.write_spec({"tensors": {"w": [300, 200]}, "rules": [rule]}, "scaled.json")
        report = self.folder / "report.json"
        result = self.model("--report", report, spec=spec, out=self.folder / "scaled.safetensors")
        self.assertIn("every standard deviation is as wanted", result.stdout)
        tensor = json.loads(report.read_text())["tensors"][0]
        self.assertNotIn("note", result.stderr)
        self.assertAlmostEqual(tensor["output_scale"], 0.1 / 448)
        self.assertAlmostEqual(tensor["wanted_stddev"], 0.02 * 448 / 0.1)
        self.verify(0, path=self.folder / "scaled.safetensors")
        header, begin = header_of(self.folder / "scaled.safetensors")
        wide = self.folder / "wide.safetensors"
        write_safetensors(wide, {"w": ("F32", [300, 200], bytes(4 * 300 * 200))})
        self.assertIn("the specification says [300, 200] F8_E4M3", self.verify(1, "--spec", spec, "--seed", "7", path=wide))

    def test_standard_input(self):
        with self.out.open("rb") as file:
            self.assertEqual(run("verify", "-", stdin=file).returncode, 0)
        with self.out.open("rb") as file:
            self.assertEqual(run("diff", self.out, "-", stdin=file).returncode, 0)
        result = run("spec", "-", input="x")
        self.assertEqual(result.returncode, 2)
        self.assertIn("a pipe", result.stderr)

    def test_more_files_than_a_process_may_open(self):
        spec = self.write_spec({"tensors": {f"t{j}": [2] for j in range(200)}, "rules": [{"match": "*", "initializer": "he_normal"}]}, "many.json")
        self.model("--shard-size", "1", spec=spec, out=self.folder / "many")
        for command in (["verify", self.folder / "many"], ["diff", self.folder / "many", self.folder / "many"]):
            result = run(*command, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_long_specification_and_many_shards(self):
        # Each header repeats the specification: 560 MB in all.
        spec = {"source": "x" * 800_000, "tensors": {f"t{j}": [2] for j in range(700)}, "rules": [{"match": "*", "initializer": "he_normal"}]}
        process = subprocess.Popen([PROGRAM, "model", str(self.write_spec(spec, "long.json")), "--seed", "1", "--dry-run",
                                    "--shard-size", "8B"], stdout=subprocess.PIPE, text=True)
        said = process.stdout.read()
        process.stdout.close()
        status, usage = os.wait4(process.pid, 0)[1:]
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0)
        self.assertIn("in 700 files", said)
        self.assertLess(usage.ru_maxrss, 400_000)  # KiB

    def test_many_different_tensors_are_explained_in_linear_time(self):
        spec = self.write_spec({"tensors": {f"t{j}": [4, 4] for j in range(5000)}, "rules": [{"match": "*", "initializer": "he_normal"}]}, "many.json")
        path = self.folder / "many.safetensors"
        self.model(spec=spec, out=path)
        data = bytearray(path.read_bytes())
        begin = header_of(path)[1]
        data[begin:] = data[begin + 64:] + data[begin:begin + 64]  # each tensor has the next one's values
        path.write_bytes(data)
        start = time.monotonic()
        said = self.verify(1, path=path)
        self.assertEqual(said.count("has the values of the tensor t"), 5000)
        self.assertLess(time.monotonic() - start, 20)

    def test_an_index_without_tensors(self):
        path = self.folder / "empty.safetensors.index.json"
        path.write_text('{"weight_map": {}}')
        for command in (["verify", path], ["spec", path], ["diff", path, path]):
            result = run(*command)
            self.assertEqual(result.returncode, 2, result)
            self.assertIn("names no tensor", result.stderr)

    def test_another_dtype(self):
        name = "layers.0.attn.weight"
        narrow = {"tensors": {name: [64, 192]}, "dtype": "bfloat16", "rules": SPEC["rules"]}
        self.model(spec=self.write_spec(narrow, "narrow.json"), out=self.folder / "narrow.safetensors")
        header, begin = header_of(self.folder / "narrow.safetensors")
        halves = (self.folder / "narrow.safetensors").read_bytes()[begin:]
        widened = b"".join(b"\0\0" + halves[j:j + 2] for j in range(0, len(halves), 2))
        self.assertIn("values of bfloat16", self.verify(1, path=self.change(name, lambda data: widened)))
        wide = self.folder / "wide.safetensors"
        write_safetensors(wide, {name: ("BF16", [64, 192], halves)})
        spec = self.write_spec({"tensors": {name: [64, 192]}, "rules": SPEC["rules"]}, "wide.json")
        self.assertRegex(self.verify(1, "--spec", spec, "--seed", "7", path=wide), "has the values of (float32|bfloat16) with this seed")

    def test_malformed_files(self):
        rng = random.Random(4)
        good = self.out.read_bytes()
        path = self.folder / "bad.safetensors"
        for case in range(60):
            data = bytearray(good)
            if case % 3 == 0:
                data = data[:rng.randrange(len(data))]
            else:
                for _ in range(rng.choice([1, 3, 30])):
                    data[rng.randrange(self.begin)] = rng.choice([0, 255, 34, 123, 125, 91, 49, rng.randrange(256)])
            path.write_bytes(data)
            for command in (["verify", path], ["diff", path, self.out], ["spec", path]):
                result = run(*command)
                self.assertIn(result.returncode, (0, 1, 2), (case, command, result))
                if result.returncode == 2 and command[0] != "verify":
                    self.assertTrue(result.stderr.startswith("fanin: "), result.stderr)


class Loads(InFolder):
    def setUp(self):
        super().setUp()
        self.base = self.folder / "model.safetensors"
        write_safetensors(self.base, {"a": ("F32", [4, 4], bytes(range(64)))})
        self.spec = self.write_spec({"tensors": {"a": [4, 4], "lora": [4]},
                                     "rules": [{"match": "a", "load": self.base.name}, {"match": "*", "initializer": "ones"}]})

    def test_what_is_loaded_is_not_replaced(self):
        before = self.base.read_bytes()
        for arguments in (["--out", self.base], ["--out", self.out, "--report", self.base], ["--check", "--report", self.base],
                          ["--out", self.folder / "link", "--shard-size", "1GB"]):
            (self.folder / "link").unlink(missing_ok=True)
            (self.folder / "link").symlink_to(self.folder)
            result = run("model", self.spec, "--seed", 1, *arguments)
            self.assertEqual(result.returncode, 2, arguments)
            self.assertIn("would replace", result.stderr)
            self.assertEqual(self.base.read_bytes(), before)
        self.assertEqual(self.left(), ["link", "model.safetensors"])

    def test_what_is_verified_is_not_compared_with_itself(self):
        tuned = self.folder / "tuned"
        self.model("--shard-size", "1GB", out=tuned)
        path = tuned / "model.safetensors"
        data = bytearray(path.read_bytes())
        data[-30] ^= 1
        path.write_bytes(data)
        for place in (path, tuned):
            self.assertIn("is what is verified. Give --spec", self.verify(2, path=place))
        self.assertIn("a [4, 4] F32: 1 of 16 elements differs", self.verify(1, "--spec", self.spec, path=tuned))

    def test_names_of_files_have_no_nul(self):
        spec = self.write_spec({"tensors": {"a": [4, 4]}, "rules": [{"match": "*", "load": self.base.name + "\0x"}]}, "nul.json")
        self.assertIn("the name of a file has no NUL", run("model", spec, "--check").stderr)


class Places(InFolder):
    def test_a_directory_holds_all_shards(self):
        spec = self.write_spec({"tensors": {name: [4, 4] for name in "abcde"}, "rules": [{"match": "*", "initializer": "he_normal"}]})
        shards = self.folder / "shards"
        self.model("--shard-size", "64B", spec=spec, out=shards)
        one = self.folder / "one"
        one.mkdir()
        second = next(shards.glob("*-00002-*"))
        shutil.copy(second, one)
        self.assertIn("1 tensors", self.verify(0, path=second))
        self.assertIn("a [4, 4] F32: missing", self.verify(1, path=one))
        index = one / "model.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {"b": second.name}}))
        self.assertIn("4 of 5 tensors", self.verify(1, path=index))
        header, begin = header_of(second)
        write_safetensors(one / second.name, {}, header["__metadata__"])
        self.assertIn("it has no tensors", self.verify(2, path=one / second.name))

    def test_resume_needs_a_seed(self):
        result = run("model", self.spec, "--resume", "--out", self.out)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--resume goes on with the values of a seed, so it needs --seed", result.stderr)
        self.assertEqual(self.left(), [])

    def test_sizes_of_shards_without_an_output(self):
        files = [run("model", self.spec, "--seed", 1, "--dry-run", "--shard-size", "64B", *more).stdout.split(" in ")[1].split()[0]
                 for more in ([], ["--out", self.folder / "d"])]
        self.assertEqual(files[0], files[1])
        self.assertGreater(int(files[0]), 10)
        self.assertIn("--shard-size takes a size", run("model", self.spec, "--check", "--shard-size", "x").stderr)

    def permissions_while_writing(self, out, has_begun, *arguments):
        data = self.folder / f".{out.name}.fanin-partial" / "data"
        process = subprocess.Popen([PROGRAM, "model", str(self.write_spec(LARGE)), "--seed", "7", "--threads", "1",
                                    "--out", str(out), *arguments], stdout=subprocess.DEVNULL)
        while not (data.exists() and has_begun(data)) and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        permissions = data.stat().st_mode & 0o777
        process.send_signal(signal.SIGCONT)
        self.assertEqual(process.wait(), 0)
        return permissions

    def test_permissions_of_pieces(self):
        self.out.write_bytes(b"secret")
        self.out.chmod(0o600)
        self.assertEqual(self.permissions_while_writing(self.out, lambda data: data.stat().st_size > 0), 0o600)
        self.assertEqual(self.out.stat().st_mode & 0o777, 0o600)

    def test_permissions_of_a_replaced_directory(self):
        directory = self.folder / "d"
        self.model("--shard-size", "50KB", out=directory)
        new = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
        for path in directory.iterdir():
            path.chmod(0o640)
        (directory / "model.safetensors.index.json").chmod(0o604)
        directory.chmod(0o700)
        pieces = self.permissions_while_writing(directory, lambda data: any(data.iterdir()), "--shard-size", "1MB")
        self.assertEqual(pieces, 0o700)
        self.assertEqual(directory.stat().st_mode & 0o777, 0o700)
        names = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
        self.assertNotEqual(names.keys(), new.keys())
        self.assertEqual(set(names.values()), {0o600})  # what all the old ones permitted
        self.assertNotEqual(set(new.values()), {0o600})

    def test_a_directory_that_was_aside_when_the_process_was_killed(self):
        directory, folder = self.folder / "d", self.folder / ".d.fanin-partial"
        self.model("--shard-size", "1GB", out=directory)
        before = digest(directory)
        folder.mkdir()
        directory.rename(folder / "old")  # as where the system cannot exchange two directories
        result = run("model", self.spec, "--seed", 8, "--shard-size", "1GB", "--out", directory,
                     preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)))
        self.assertEqual(result.returncode, 2)
        self.assertEqual(digest(directory), before)
        self.assertEqual(self.left(), ["d"])
        folder.mkdir()
        shutil.copytree(directory, folder / "old")
        self.model("--shard-size", "1GB", out=directory, seed=8)
        self.verify(0, "--seed", 8, path=directory)
        self.assertEqual(self.left(), ["d"])

    def test_a_directory_that_cannot_be_replaced(self):
        if os.geteuid() == 0:
            self.skipTest("root may write everywhere")
        directory = self.folder / "d"
        self.model("--shard-size", "1GB", out=directory)
        directory.chmod(0o555)
        self.addCleanup(directory.chmod, 0o755)
        result = run("model", self.spec, "--seed", 8, "--shard-size", "1GB", "--out", directory)
        self.assertEqual(result.returncode, 2)
        self.assertIn("Cannot write the directory", result.stderr)
        self.assertEqual(self.left(), ["d"])

    def test_scales_as_a_dtype(self):
        spec = self.write_spec({"tensors": {"a": [16]}, "dtype": "float8_e8m0fnu", "rules": [{"match": "*", "initializer": "ones"}]})
        self.model(spec=spec)
        self.verify(0)
        self.assertIn('"dtype": "float8_e8m0fnu"', run("spec", self.out).stdout)


class Diff(InFolder):
    def test_not_a_number(self):
        paths = [self.folder / "a.safetensors", self.folder / "b.safetensors"]
        for path, first in zip(paths, (1.0, math.nan)):
            write_safetensors(path, {"x": ("F32", [3], struct.pack("<3f", first, 2, 3)), "y": ("F32", [1], struct.pack("<f", 1))})
        self.assertIn("at [0] they are 1 (0x3f800000) and nan (0x7fc00000); the largest difference is nan", run("diff", *paths).stdout)

    def test_diff(self):
        other = self.folder / "other.safetensors"
        self.model()
        self.model(out=other, seed=8)
        self.assertEqual(run("diff", self.out, self.out).returncode, 0)
        result = run("diff", self.out, other)
        self.assertEqual(result.returncode, 1)
        self.assertIn("embed.weight [1000, 64] F32: 64000 of 64000 elements differ; at [0, 0] they are", result.stdout)
        self.assertNotIn("bias", result.stdout)  # zeros with either seed
        write_safetensors(other, {"scalar": ("F32", [], bytes(4)), "new": ("U8", [3], b"abc"), "norm.weight": ("F32", [64], bytes(256))})
        result = run("diff", self.out, other)
        self.assertEqual(result.returncode, 1)
        for line in ("new [3] U8: only in " + str(other), "embed.weight [1000, 64] F32: only in " + str(self.out),
                     "norm.weight [64] F64: in " + str(other) + " it is [64] F32", "scalar [] F32: 1 of 1 elements differ"):
            self.assertIn(line, result.stdout)
        self.assertEqual(run("diff", self.out, self.folder / "none").returncode, 2)

    def test_elements_of_less_than_a_byte(self):
        other = self.folder / "other.safetensors"
        write_safetensors(self.out, {"a": ("F4", [4, 8], bytes(16))})
        write_safetensors(other, {"a": ("F4", [4, 8], bytes(12) + b"\x70" + bytes(3))})
        self.assertIn("a [4, 8] F4: 1 of 16 bytes differ; at byte 12 they are 0x00 and 0x70", run("diff", self.out, other).stdout)


class Specification(InFolder):
    def test_folded_and_filled_in(self):
        tensors = {f"model.layers.{j}.experts.{e}.w1.weight": ("F32", [4, 6], bytes(96)) for j in range(1, 4) for e in range(5)}
        tensors |= {f"model.layers.{j}.norm.weight": ("BF16", [4], bytes(8)) for j in range(4)}
        tensors |= {"model.embed.weight": ("F32", [9, 4], bytes(144)), "odd.0.x": ("F32", [1], bytes(4)), "odd.2.x": ("F32", [1], bytes(4)),
                    "steps": ("I64", [], bytes(8))}
        write_safetensors(self.out, tensors)
        result = run("spec", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("steps is left out", result.stderr)
        spec = json.loads(result.stdout)
        self.assertEqual(spec["tensors"]["model.layers.{layer}.experts.{expert}.w1.weight"],
                         {"shape": [4, 6], "repeat": {"layer": [1, 4], "expert": 5}})
        self.assertEqual(spec["tensors"]["model.layers.{layer}.norm.weight"], {"shape": [4], "dtype": "bfloat16", "repeat": {"layer": 4}})
        self.assertEqual(spec["tensors"]["odd.2.x"], [1])
        self.assertEqual(len(spec["tensors"]), 5)
        path = self.folder / "printed.json"
        path.write_text(result.stdout)
        self.assertIn("FILL IN", run("model", path, "--seed", 1, "--out", self.folder / "x.safetensors").stderr)
        path.write_text(result.stdout.replace("FILL IN", "ones"))
        self.model(spec=path, out=self.folder / "again.safetensors")
        header, _ = header_of(self.folder / "again.safetensors")
        header.pop("__metadata__")
        self.assertEqual({name: (entry["dtype"], entry["shape"]) for name, entry in header.items()},
                         {name: (dtype, shape) for name, (dtype, shape, _) in tensors.items() if name != "steps"})

    def printed(self, tensors):
        """The specification that is printed, and what a model that is filled from it has."""
        write_safetensors(self.out, tensors)
        result = run("spec", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        path = self.folder / "printed.json"
        path.write_text(result.stdout.replace("FILL IN", "ones"))
        self.model(spec=path, out=self.folder / "again.safetensors")
        header, _ = header_of(self.folder / "again.safetensors")
        header.pop("__metadata__")
        self.assertEqual({name: (entry["dtype"], entry["shape"]) for name, entry in header.items()},
                         {name: (dtype, shape) for name, (dtype, shape, _) in tensors.items()})
        return json.loads(result.stdout)

    def test_layers_of_two_shapes(self):
        tensors = {f"layers.{j}.up.weight": ("F32", [2 if j < 3 else 4], bytes(8 if j < 3 else 16)) for j in range(5)}
        tensors |= {f"layers.{j}.norm.weight": ("F32" if j < 2 else "BF16", [4], bytes(16 if j < 2 else 8)) for j in range(4)}
        spec = self.printed(tensors)
        self.assertEqual(spec["tensors"]["layers.{layer}.up.weight"], {"shape": [2], "repeat": {"layer": 3}})
        self.assertEqual(spec["tensors"]["layers.{layer_n}.up.weight"], {"shape": [4], "repeat": {"layer_n": [3, 5]}})
        self.assertEqual(len(spec["tensors"]), 4)

    def test_names_that_formulas_use(self):
        words = ["pi", "i", "u", "z", "ifs", "mins", "shape", "fan_in", "logs", "clamps"]
        self.printed({f"{word}.{j}.weight": ("F32", [2], bytes(8)) for word in words for j in range(2)})


    def test_names_that_would_be_captures(self):
        write_safetensors(self.out, {"a{x}b": ("F32", [1], bytes(4)), "c{0}": ("F32", [2], bytes(8)), "d*": ("F32", [3], bytes(12))})
        result = run("spec", self.out)
        self.assertIn("a{x}b is left out", result.stderr)
        self.assertEqual(json.loads(result.stdout)["tensors"], {"c{0}": [2], "d*": [3]})


class Streams(InFolder):
    def test_standard_output_and_input(self):
        self.model()
        expected = self.out.read_bytes()
        for out in ("-", "/dev/stdout"):
            result = subprocess.run([PROGRAM, "model", "-", "--seed", "7", "--out", out], input=self.spec.read_bytes(), capture_output=True)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout, expected)
            self.assertIn(b"seed 7", result.stderr)
        with open(self.folder / "redirected", "wb") as file:
            subprocess.run([PROGRAM, "model", self.spec, "--seed", "7", "--out", "/dev/stdout"], stdout=file, check=True, stderr=subprocess.DEVNULL)
        self.assertEqual((self.folder / "redirected").read_bytes(), expected)
        self.assertEqual(run("model", self.spec, "--seed", 7, "--out", "/dev/null").returncode, 0)
        script = f"'{PROGRAM}' model '{self.spec}' --seed 7 --out >(cat >'{self.folder}/piped') && wait"
        if os.path.exists("/bin/bash"):
            subprocess.run(["/bin/bash", "-c", script], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            deadline = time.monotonic() + 10
            while (self.folder / "piped").stat().st_size < len(expected) and time.monotonic() < deadline:
                time.sleep(0.01)
            self.assertEqual((self.folder / "piped").read_bytes(), expected)

    def test_fill_and_config(self):
        npy = self.folder / "w.npy"
        fill = ["fill", "--init", "he_normal", "--shape", "30,40", "--seed", "1", "--out"]
        run(*fill, npy)
        result = subprocess.run([PROGRAM, *fill, "-"], capture_output=True)
        self.assertEqual((result.returncode, result.stdout), (0, npy.read_bytes()))
        result = subprocess.run([PROGRAM, *fill, "-", "--format", "bin"], capture_output=True)
        self.assertEqual(result.stdout, npy.read_bytes()[-4800:])
        self.assertEqual(run(*fill, self.folder / "w.txt", "--format", "npy").returncode, 0)
        self.assertEqual((self.folder / "w.txt").read_bytes(), npy.read_bytes())
        self.assertEqual(run("config", "-", input='"ones"').stdout, run("config", "ones").stdout)
        # A file whose name is an initializer's does not take its place.
        (self.folder / "he_normal").write_text('"ones"')
        self.assertIn("HeNormal", run("config", "he_normal", cwd=self.folder).stdout)
        self.assertIn("Ones", run("config", "./he_normal", cwd=self.folder).stdout)

    def test_closed_streams(self):
        # Without standard error, its number must not become the output's.
        self.model()
        expected = self.out.read_bytes()
        for closed in ((0,), (1,), (2,), (0, 1, 2)):
            self.out.unlink()
            subprocess.run([PROGRAM, "model", str(self.spec), "--seed", "7", "--out", str(self.out)], check=False,
                           preexec_fn=lambda: [os.close(stream) for stream in closed], stdout=1 not in closed and subprocess.DEVNULL or None,
                           stderr=2 not in closed and subprocess.DEVNULL or None)
            self.assertEqual(self.out.read_bytes(), expected, closed)

    def test_a_reader_that_has_enough_is_no_failure(self):
        process = subprocess.Popen([PROGRAM, "model", str(self.spec), "--seed", "7", "--out", str(self.out)], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(), 0, errors)
        self.verify(0)

    def test_a_reader_of_the_report_that_has_enough_loses_no_model(self):
        process = subprocess.Popen([PROGRAM, "model", str(self.spec), "--seed", "7", "--out", str(self.out), "--report", "-"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(), 0, errors)
        self.verify(0)

    def test_huge_tensors_are_refused_before(self):
        limited = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # if it is not refused
        result = run("fill", "--init", "zeros", "--shape", "10000000,10000000", "--out", self.folder / "x.npy", preexec_fn=limited)
        self.assertEqual(result.returncode, 2)
        self.assertIn("has room for", result.stderr)
        self.assertEqual(self.left(), [])

    def test_reasons_name_the_folder_and_the_cause(self):
        self.assertIn("No such file", run("model", self.folder / "none.json", "--seed", 1, "--out", self.out).stderr)
        if os.geteuid() != 0:
            folder = self.folder / "locked"
            folder.mkdir(mode=0o500)
            self.assertIn(str(folder) + '"', run("model", self.spec, "--seed", 1, "--out", folder / "m.safetensors").stderr)


class Numbers(InFolder):
    def test_extreme_values(self):
        spec = {"dtype": "float64", "tensors": {"huge": [3000], "constant": [10], "tiny": [3000]},
                "rules": [{"match": "huge", "initializer": {"class_name": "RandomNormal", "config": {"stddev": 1e200}}},
                          {"match": "tiny", "initializer": {"class_name": "RandomNormal", "config": {"stddev": 1e-200}}},
                          {"match": "*", "initializer": {"class_name": "Constant", "config": {"value": 1.7e308}}}]}
        report = self.folder / "report.json"
        result = self.model("--report", report, spec=self.write_spec(spec, "extreme.json"))
        self.assertNotIn("nan", result.stdout)
        self.assertIn("every standard deviation is as wanted", result.stdout)
        found = {tensor["name"]: tensor for tensor in json.loads(report.read_text())["tensors"]}
        self.assertAlmostEqual(found["huge"]["found_stddev"] / 1e200, 1, delta=0.1)
        self.assertAlmostEqual(found["tiny"]["found_stddev"] / 1e-200, 1, delta=0.1)
        self.assertEqual((found["constant"]["found_mean"], found["constant"]["found_stddev"]), (1.7e308, 0))

    def test_statistics_do_not_depend_on_threads(self):
        spec = self.write_spec(LARGE, "large.json")
        reports = []
        for threads in (1, 3):
            self.model("--report", self.folder / "r.json", "--threads", threads, spec=spec)
            reports.append(json.loads((self.folder / "r.json").read_text())["tensors"])
        self.assertEqual(len(reports[0]), 12)
        for one, three in zip(*reports):
            self.assertAlmostEqual(one["found_stddev"] / three["found_stddev"], 1, delta=1e-12)

    def test_many_parts_take_linear_time(self):
        def processor_seconds(count):
            spec = self.write_spec({"tensors": {"a": {"shape": [count], "parts": [{"name": "p{k}", "size": 1, "repeat": {"k": count}}]}},
                                    "rules": [{"match": "*", "initializer": "he_normal"}]}, "parts.json")
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            self.model(spec=spec)
            return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before

        self.assertLess(processor_seconds(100000), 25 * processor_seconds(10000) + 1)

    def test_no_statistics(self):
        result = self.model("--no-stats")
        self.assertNotIn(" !", result.stdout)
        self.verify(0)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]], verbosity=1)
