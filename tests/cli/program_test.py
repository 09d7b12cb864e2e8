#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests the program: its output, its exit codes, and that bad input writes and loses nothing.

    program_test.py PROGRAM
"""
import json
import math
import os
import pathlib
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.path.abspath(sys.argv[1])
PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent


def run(*arguments, **options):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, **options)


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), data[8 + length:]


class InFolder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = os.path.join(self.folder.name, "w.npy")

    def refused(self, *arguments, says=""):
        """Expects exit code 2, a message, nothing on standard output, and an unchanged folder."""
        before = {name: pathlib.Path(self.folder.name, name).read_bytes() for name in os.listdir(self.folder.name)
                  if os.path.isfile(os.path.join(self.folder.name, name))}
        result = run(*arguments)
        self.assertEqual(result.returncode, 2, (arguments, result))
        self.assertEqual(result.stdout, "", arguments)
        self.assertIn(says, result.stderr)
        self.assertTrue(result.stderr.strip(), arguments)
        after = {name: pathlib.Path(self.folder.name, name).read_bytes() for name in os.listdir(self.folder.name)
                 if os.path.isfile(os.path.join(self.folder.name, name))}
        self.assertEqual(before, after, arguments)
        return result.stderr


class Fill(InFolder):
    def fill(self, *arguments):
        result = run("fill", *arguments, "--out", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        return pathlib.Path(self.out).read_bytes()

    def test_formula(self):
        config = '{"class_name": "Formula", "config": {"value": "10 * i[0] + i[1]"}}'
        self.assertEqual(struct.unpack("<6f", self.fill("--config", config, "--shape", "2,3")[-24:]), (0, 1, 2, 10, 11, 12))
        bad = ("--init", "formula", "--set", "value=1 / (n - i[0])", "--set", 'constants={"n": 2}', "--shape", "3")
        self.refused("fill", *bad, "--out", self.out, says="not finite in float32: inf, with n=2, i[0]=2")
        seeded = ("--init", "formula", "--set", "value=z", "--shape", "99", "--seed", "4")
        normal = ("--init", "normal", "--set", "stddev=1", "--shape", "99", "--seed", "4")
        self.assertEqual(self.fill(*seeded), self.fill(*normal))

    def test_npy_and_bin_hold_the_same_elements(self):
        npy = self.fill("--init", "he_normal", "--shape", "3,5", "--seed", "1")
        raw = os.path.join(self.folder.name, "w.bin")
        self.assertEqual(run("fill", "--init", "he_normal", "--shape", "3,5", "--seed", "1", "--out", raw).returncode, 0)
        self.assertEqual(len(npy) % 64, 60)  # a header of whole 64 bytes, then 15 floats
        self.assertEqual(npy[-60:], pathlib.Path(raw).read_bytes())
        self.assertIn(b"'descr': '<f4', 'fortran_order': False, 'shape': (3, 5)", npy)

    def test_npy_headers(self):
        for dtype, descr in {"float64": "<f8", "float16": "<f2", "bfloat16": "<u2", "float8_e4m3fn": "|u1", "float8_e5m2": "|u1"}.items():
            self.assertIn(("'descr': '%s'" % descr).encode(), self.fill("--init", "ones", "--shape", "2", "--dtype", dtype))
        self.assertIn(b"'shape': ()", self.fill("--init", "ones", "--shape", "scalar"))
        self.assertIn(b"'shape': (4,)", self.fill("--init", "ones", "--shape", "4"))
        self.assertIn(b"'shape': (0, 4)", self.fill("--init", "he_normal", "--shape", "0,4"))

    def test_partition_is_the_slice(self):
        whole = self.fill("--init", "glorot_normal", "--shape", "4,6", "--seed", "9")[-96:]
        part = self.fill("--init", "glorot_normal", "--shape", "4,6", "--seed", "9", "--partition-shape", "2,3", "--partition-offset", "1,2")
        self.assertIn(b"'shape': (2, 3)", part)
        rows = [whole[24 * r + 8:24 * r + 20] for r in (1, 2)]
        self.assertEqual(part[-24:], b"".join(rows))

    def test_large_tensors_go_through_in_pieces(self):
        # The program fills its buffer 3 times; the bits are those of one fill of the middle by the library.
        shape = "5000,9000"
        result = run("fill", "--init", "he_normal", "--shape", shape, "--seed", "3", "--out", os.path.join(self.folder.name, "a.bin"))
        self.assertEqual(result.returncode, 0, result.stderr)
        whole = pathlib.Path(self.folder.name, "a.bin").read_bytes()
        self.assertEqual(len(whole), 5000 * 9000 * 4)
        part = self.fill("--init", "he_normal", "--shape", shape, "--seed", "3", "--partition-shape", "700,9000", "--partition-offset", "1700,0")
        self.assertEqual(part[-700 * 9000 * 4:], whole[1700 * 9000 * 4:2400 * 9000 * 4])

    def test_names_and_subsequences(self):
        by_name = self.fill("--init", "he_normal", "--shape", "3,5", "--seed", "1", "--name", "a")
        by_number = self.fill("--init", "he_normal", "--shape", "3,5", "--seed", "1", "--subsequence", str(0xaf63dc4c8601ec8c))
        self.assertEqual(by_name, by_number)
        self.assertNotEqual(by_name, self.fill("--init", "he_normal", "--shape", "3,5", "--seed", "1"))
        self.assertEqual(self.fill("--init", "he_normal", "--shape", "3,5", "--seed", "1", "--name", ""),
                         self.fill("--init", "he_normal", "--shape", "3,5", "--seed", "1", "--subsequence", str(0xcbf29ce484222325)))

    def test_a_drawn_seed_is_printed_and_gives_the_same_again(self):
        result = run("fill", "--init", "he_normal", "--shape", "3,5", "--out", self.out)
        self.assertIn("(drawn)", result.stdout)
        seed = result.stdout.split("seed ")[1].split(" ")[0]
        first = pathlib.Path(self.out).read_bytes()
        self.assertEqual(first, self.fill("--init", "he_normal", "--shape", "3,5", "--seed", seed))

    def test_config_and_settings(self):
        config = '{"class_name": "VarianceScaling", "config": {"scale": 2.0, "mode": "fan_in", "distribution": "truncated_normal", "seed": 7}}'
        expected = self.fill("--init", "he_normal", "--shape", "8,8", "--seed", "7")
        self.assertEqual(expected, self.fill("--config", config, "--shape", "8,8"))
        self.assertEqual(expected, self.fill("--init", "variance_scaling", "--set", "scale=2", "--set", "mode=fan_in", "--seed", "7", "--shape", "8,8"))
        path = os.path.join(self.folder.name, "config.json")
        pathlib.Path(path).write_text(config)
        self.assertEqual(expected, self.fill("--config", path, "--shape", "8,8"))

    def test_messages_say_what_to_do(self):
        he = ("fill", "--init", "he_normal", "--out", self.out)
        self.refused(says="The commands are fill, describe")
        self.refused("fil", says='no command "fil"')
        self.refused("fill", "--shap", "3", says="fanin fill has no option --shap. Its options are --help, --init, --config, ")
        self.refused("fill", "he_normal", "--shape", "3", says='fanin fill takes options only, not "he_normal". Its options are ')
        self.refused("verify", "a.safetensors", "b", "-", says='fanin verify takes path and options, not "b". Its options are ')
        self.refused("fill", "--init", "he_normal", says="fanin fill needs --shape: Extents of the whole tensor")
        self.refused("diff", "a.safetensors", says="fanin diff needs b: ")
        self.refused("--verison", says="fanin has no option --verison. The commands are fill")
        self.refused("verify", "a.safetensors", "-t", "1", says="fanin verify has no option -t")
        for missing in (["--shape"], ["--shape="], ["--shape", "--seed", "1"]):
            self.refused("fill", *missing, "--init", "zeros", says="fanin fill: --shape needs a value: Extents")
        self.refused(*he, "--shape", "3", "--shape", "4", says="--shape is given twice")
        self.refused(*he, "--shape", "3", "--set", "dtype=float16", says="dtype=float16")
        self.refused(*he, "--shape", "3", "--output-scale", "1e999", says="--output-scale takes a positive number or a file")
        self.refused(*he, "--shape", "99999999999999999999", says="integers below 2^63")
        self.refused(*he, "--shape", ",".join(["1"] * 65), says="at most 64 dimensions")
        self.refused(*he, "--shape", "3", "--seed", "1", "--set", "seed=7", says="both give the seed")
        self.refused(*he, "--shape", "3", "--set", "seed=7", "--set", "seed=8", says="--set seed=... is given twice")
        self.refused("", says='no command ""')
        for threads in ("-1", "1.5", "x", "", "99999999999"):
            self.refused(*he, "--shape", "3", "--threads", threads, says="--threads takes a number of threads, or 0 for all")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as config:
            config.write('{"class_name": "HeNormal", "config": {"sed": 1}}')
            config.flush()
            self.refused("config", config.name, says=config.name + ": ")
            self.refused("fill", "--config", config.name, "--shape", "3", says=config.name + ": ")
        self.refused(*he, "--shape", "3", "--device", "cuda:999999999", says="Cannot use cuda:999999999")
        self.refused(*he, "--shape", "3", "--device", "cuda:-1", says="N below 2^31")
        constant = ("fill", "--init", "constant", "--shape", "2", "--out", self.out)
        self.refused(*constant, "--set", "value=1e999", says="binary64 can hold")
        for theirs, ours in (("trunc_normal", "truncated_normal"), ("eye", "identity"), ("gaussian", "random_normal"), ("", "he_normal"), ("xavier", "glorot_uniform"),
                             ("torch.nn.init.kaiming_normal_", "he_normal")):
            self.refused("describe", "--init", theirs, "--shape", "3", says=f'"{ours}"')
        for text in (".5", "+0.5", "5e-1"):
            self.assertEqual(self.fill("--init", "constant", "--shape", "2", "--set", "value=" + text)[-8:], struct.pack("<2f", 0.5, 0.5))
        note = run("fill", "--init", "constant", "--set", "value=1e6", "--shape", "2", "--dtype", "float16")
        self.assertIn("note: 1e+06 is outside float16, whose largest value is 65504", note.stdout)
        for init, setting, says in (("constant", "value=1e-10", "1e-10 is too small for float16, in which it is 0"),
                                    ("random_normal", "stddev=22000", "values with a mean of 0 and a stddev of 22000 go beyond float16, whose largest value is 65504"),
                                    ("truncated_normal", "stddev=33000", "go beyond float16"), ("orthogonal", "gain=1e5", "go beyond float16"),
                                    ("random_uniform", "maxval=1e6", "go beyond float16")):
            for command in ("fill", "describe"):
                note = run(command, "--init", init, "--set", setting, "--shape", "2,2", "--dtype", "float16")
                self.assertIn(says, note.stdout, note)
        for init, setting in (("constant", "value=-65504"), ("random_normal", "stddev=21000"), ("truncated_normal", "stddev=32000"),
                              ("orthogonal", "gain=65504"), ("random_uniform", "maxval=65504")):
            self.assertNotIn("note", run("fill", "--init", init, "--set", setting, "--shape", "2", "--dtype", "float16").stdout)
        self.assertEqual(run("help").stdout, run("--help").stdout)
        self.assertEqual(run("version").stdout, run("--version").stdout)
        self.assertEqual(run("fill", "--init", "he_normal", "--shape", "2", "--name", "--odd").returncode, 0)

    def test_bad_input(self):
        pathlib.Path(self.out).write_bytes(b"precious")
        base = ["fill", "--out", self.out]
        he = [*base, "--init", "he_normal"]
        ok = [*he, "--shape", "2,3"]
        self.refused(*he, "--shape", "-2,3", says="negative")
        self.refused(*he, "--shape", "2,,3", says="--shape")
        self.refused(*he, "--shape", "2x3", says="--shape")
        self.refused(*he, "--shape", "", says="--shape")
        self.refused(*he, "--shape", "99999999999999999999", says="--shape")
        self.refused(*he, "--shape", "%d,2" % 2 ** 56, says="2^56")
        self.refused(*he, says="--shape")
        for dtype in ("int32", "bool", "complex64", "floaty", "", "Float32"):
            self.refused(*ok, "--dtype", dtype, says="dtype")
        self.refused(*ok, "--dtype", "float23", says='"float32"?')
        self.refused(*base, "--shape", "2,3", "--init", "he_norml", says='"he_normal"?')
        self.refused(*base, "--shape", "2,3", "--init", "xavier_uniform", says="glorot_uniform")
        self.refused(*base, "--shape", "2,3", says="--init")
        self.refused(*ok, "--set", "scale=3", says="scale")
        self.refused(*ok, "--set", "sede=3", says='"seed"?')
        self.refused(*ok, "--set", "seed", says="key=value")
        self.refused(*ok, "--seed", "-5", says="18446744073709551611")
        for seed in ("x", "1.5", "18446744073709551616", "1e3"):
            self.refused(*ok, "--seed", seed, says="--seed")
        self.refused(*ok, "--subsequence", "-1", says="--subsequence")
        self.refused(*ok, "--subsequence", "1", "--name", "a")
        self.refused(*ok, "--partition-shape", "2,3", says="both")
        self.refused(*ok, "--partition-shape", "2,3", "--partition-offset", "1,0", says="outside")
        self.refused(*ok, "--partition-shape", "2", "--partition-offset", "0", says="dimension")
        self.refused(*ok, "--partition-shape", "1,1", "--partition-offset", "-1,0", says="negative")
        self.refused(*ok, "--threads", "-1", says="threads")
        for device in ("cuda:x", "gpu", "cuda:-1", "cuda:"):
            self.refused(*ok, "--device", device, says="--device")
        self.refused(*ok, "--bogus", "1")
        scaled = [*base, "--shape", "2,3", "--init", "variance_scaling"]
        for setting in ("scale=0", "scale=-1", "scale=NaN", "scale=Infinity", "scale=x", "scale=null", "mode=FAN_IN", "mode=fan_on",
                        "distribution=cauchy", "input_axes=3", "scale=1e-300", "scale=1e300"):
            self.refused(*scaled, "--set", setting, says=setting.split("=")[0] if setting[-3:] != "300" else "")
        self.refused(*base, "--shape", "2", "--init", "random_uniform", "--set", "minval=1", "--set", "maxval=0", says="minval")
        self.refused(*base, "--shape", "2", "--init", "random_normal", "--set", "stddev=-1", says="stddev")
        self.refused(*base, "--shape", "2", "--init", "random_normal", "--set", "stddev=1e-50", says="zero")
        self.refused(*base, "--shape", "2", "--init", "random_normal", "--set", "mean=1e39", says="finite")
        self.refused(*base, "--shape", "2", "--init", "constant", "--set", "value=Infinity", says="finite")
        self.refused(*base, "--shape", "3", "--init", "constant", "--set", "value=[1,2]", says="broadcast")
        self.refused(*base, "--shape", "2,2,2", "--init", "identity", says="2D")
        self.refused(*base, "--shape", "4", "--init", "random_uniform", "--dtype", "float8_e4m3fn", "--set", "minval=60.4", "--set", "maxval=61.4", says="No value")
        self.refused(*base, "--shape", "4", "--config", '{"class_name": "HeNormal",}', says="line 1, column 27")
        self.refused(*base, "--shape", "4", "--config", '{"class_name": "HeNormal", "class_name": "Ones"}', says="twice")
        self.refused("fill", "--init", "ones", "--shape", "2", "--out", os.path.join(self.folder.name, "w.txt"), says=".npy")
        self.refused(*ok, "--seed", "", says="--seed")
        self.refused(*ok, "--subsequence", "", says="--subsequence")
        self.refused(*ok, "--partition-shape", "", "--partition-offset", "", says="--partition")
        self.refused(*ok, "--partition-shape", "scalar", "--partition-offset", "scalar", says="dimension")
        self.refused("fill", "--init", "ones", "--shape", "2", "--out", "", says=".npy")
        self.refused(*base, "--shape", "4", "--config", os.path.join(self.folder.name, "none.json"), says="none.json")
        self.refused(*base, "--shape", "4", "--config", self.folder.name, says="Cannot read")
        self.refused(*ok, "--dtype", "half", says='"float16"?')
        self.refused(*base, "--shape", "2", "--init", "unifrom", says='"uniform"?')
        self.refused(says="A command is missing")

    def test_no_device_is_said(self):
        if run("fill", "--init", "ones", "--shape", "2", "--device", "cuda").returncode != 0:
            for dtype in ("float32", "float4_e2m1fn", "float6_e3m2fn"):
                self.refused("fill", "--init", "ones", "--shape", "4", "--dtype", dtype, "--device", "cuda:3", says="Cannot use cuda:3")

    def test_unwritable_and_full_outputs(self):
        fill = ["fill", "--init", "he_normal", "--shape", "4096"]
        self.refused(*fill, "--out", os.path.join(self.folder.name, "no", "w.npy"), says="No such file")
        os.mkdir(self.out)
        self.refused(*fill, "--out", self.out, says="directory")
        os.rmdir(self.out)
        full = os.path.join(self.folder.name, "full.npy")
        os.symlink("/dev/full", full)
        result = run(*fill, "--out", full)
        self.assertEqual(result.returncode, 2)
        self.assertIn("No space left", result.stderr)
        self.assertTrue(os.path.exists("/dev/full"))
        os.unlink(full)

        # A limit on the file size simulates a full disk: the old file stays, and no other file.
        pathlib.Path(self.out).write_bytes(b"precious")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        result = run(*fill, "--out", self.out, preexec_fn=limit)
        self.assertEqual(result.returncode, 2, result)
        self.assertIn("File too large", result.stderr)
        self.assertEqual(pathlib.Path(self.out).read_bytes(), b"precious")
        self.assertEqual(os.listdir(self.folder.name), ["w.npy"])

    def test_an_interrupted_fill_leaves_what_was_there(self):
        pathlib.Path(self.out).write_bytes(b"precious")
        process = subprocess.Popen([PROGRAM, "fill", "--init", "he_normal", "--shape", "2000000000", "--threads", "1", "--out", self.out],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 60
        while len(os.listdir(self.folder.name)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)  # until the unfinished file exists
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(), -signal.SIGTERM)
        self.assertEqual(os.listdir(self.folder.name), ["w.npy"])
        self.assertEqual(pathlib.Path(self.out).read_bytes(), b"precious")

    def test_ignored_signals_stay_ignored(self):
        process = subprocess.Popen([PROGRAM, "fill", "--init", "he_normal", "--shape", "30000000", "--threads", "1", "--out", self.out],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        while not os.listdir(self.folder.name) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGHUP)
        self.assertEqual(process.wait(), 0)

    def test_links_to_nothing_and_standard_output_are_refused(self):
        os.symlink("nothing.npy", self.out)
        self.refused("fill", "--init", "ones", "--shape", "2", "--out", self.out, says="No such file")
        os.unlink(self.out)
        os.symlink("w.npy", self.out)
        self.refused("fill", "--init", "ones", "--shape", "2", "--out", self.out, says="symbolic links")
        os.unlink(self.out)
        with open(self.out, "wb") as standard:
            result = subprocess.run([PROGRAM, "fill", "--init", "ones", "--shape", "2", "--out", self.out], stdout=standard, stderr=subprocess.PIPE)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"standard output", result.stderr)

    def test_long_names(self):
        self.out = os.path.join(self.folder.name, "n" * 251 + ".npy")
        self.fill("--init", "ones", "--shape", "2")

    def test_links_and_permissions_are_kept(self):
        real = os.path.join(self.folder.name, "real.npy")
        pathlib.Path(real).write_bytes(b"old")
        os.chmod(real, 0o640)
        os.symlink("real.npy", self.out)
        self.fill("--init", "ones", "--shape", "2")
        self.assertTrue(os.path.islink(self.out))
        self.assertEqual(os.stat(real).st_mode & 0o777, 0o640)
        self.assertIn(b"NUMPY", pathlib.Path(real).read_bytes())


    def test_a_file_behind_a_descriptor_keeps_what_others_write(self):
        path = os.path.join(self.folder.name, "log")
        with open(path, "wb", buffering=0) as log:
            log.write(b"A")
            result = run("fill", "--init", "ones", "--shape", "2", "--format", "bin", "--out", f"/dev/fd/{log.fileno()}", pass_fds=[log.fileno()])
            self.assertEqual(result.returncode, 0, result.stderr)
            log.write(b"B")
        self.assertEqual(pathlib.Path(path).read_bytes(), b"A" + struct.pack("<2f", 1, 1) + b"B")

    def test_scales_are_not_overwritten(self):
        path = os.path.join(self.folder.name, "scales.bin")
        pathlib.Path(path).write_bytes(b"\x7f")
        self.refused("fill", "--init", "ones", "--shape", "32", "--output-scale", path, "--out", path, says="must be different files")
        self.assertEqual(pathlib.Path(path).read_bytes(), b"\x7f")
        self.refused("fill", "--init", "ones", "--shape", "32", "--format", "xyz", says="--format takes npy or bin")


class Describe(unittest.TestCase):
    def describe(self, *arguments):
        result = run("describe", *arguments, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_json(self):
        he = self.describe("--init", "he_normal", "--shape", "3,3,64,128")
        self.assertEqual((he["initializer"], he["shape"], he["fan_in"], he["fan_out"]), ("HeNormal", [3, 3, 64, 128], 576, 1152))
        self.assertEqual((he["mean"], he["stddev"], he["lower"], he["upper"]), (0, math.sqrt(2 / 576) / 0.87962566103423978, -2, 2))
        self.assertAlmostEqual(he["value_stddev"], math.sqrt(2 / 576), delta=1e-12)
        uniform = self.describe("--init", "tf.keras.initializers.he_uniform", "--shape", "3,3,64,128")
        limit = math.sqrt(3 * (2 / 576))
        self.assertEqual((uniform["low"], uniform["high"]), (-limit, limit))
        normal = self.describe("--init", "normal", "--shape", "scalar")
        self.assertEqual((normal["shape"], normal["stddev"], normal["lower"], normal["upper"]), ([], 0.05, None, None))
        zeros = self.describe("--init", "zeros", "--shape", "3")
        self.assertEqual((zeros["mean"], zeros["stddev"], zeros["lower"], zeros["upper"]), (0, 0, None, None))
        identity = self.describe("--init", "identity", "--shape", "2,2")
        self.assertEqual((identity["value_mean"], identity["value_stddev"]), (0.5, 0.5))
        oihw = self.describe("--init", "he_normal", "--shape", "128,64,3,3", "--layout", "oihw")
        self.assertEqual((oihw["fan_in"], oihw["fan_out"]), (576, 1152))
        axes = self.describe("--init", "he_normal", "--shape", "512,8,64", "--set", "input_axes=[0]", "--set", "output_axes=[1,2]")
        self.assertEqual((axes["fan_in"], axes["fan_out"]), (512, 512))

    def test_all_kinds_have_the_same_keys(self):
        kinds = [self.describe("--init", init, *settings, "--shape", "4,4") for init, *settings in (
            ("zeros",), ("identity",), ("he_uniform",), ("random_normal",), ("he_normal",), ("orthogonal",), ("formula", "--set", "value=u"))]
        self.assertEqual(len({kind["kind"] for kind in kinds}), 7)
        for kind in kinds:
            self.assertEqual(list(kind), list(kinds[0]))

    def test_the_seed(self):
        self.assertEqual(self.describe("--init", "he_normal", "--shape", "3", "--seed", "7")["seed"], 7)
        self.assertIsNone(self.describe("--init", "he_normal", "--shape", "3")["seed"])
        self.assertIn("seed         7", run("describe", "--init", "he_normal", "--shape", "3", "--seed", "7").stdout)
        self.assertNotIn("drawn and printed", run("describe", "--help").stdout)

    def test_formulas_of_parameters(self):
        for init, setting, says in (("identity", "gain=sqrt(2)", "1.4142135623730951 on the diagonal"),
                                    ("truncated_normal", "lower=-sqrt(4)/2", "cut at -1 and 2 stddev"),
                                    ("variance_scaling", "lower=-sqrt(9)", "cut at -3 and 2 stddev")):
            more = ["--set", "upper=2"] if init == "variance_scaling" else []
            self.assertIn(says, run("describe", "--init", init, "--shape", "4,4", "--set", setting, *more).stdout)

    def test_formula(self):
        settings = ("--init", "formula", "--set", "value=n * i[0] + i[1]", "--set", 'constants={"n": 10}')
        described = self.describe(*settings, "--shape", "2,3")
        self.assertEqual((described["kind"], described["derivation"]), ("computed", "value = n * i[0] + i[1], where n = 10"))
        text = run("describe", *settings, "--shape", "2,3").stdout
        self.assertIn("computed from the element's coordinates", text)
        self.assertNotIn("nan", text)

    def test_text(self):
        text = run("describe", "--init", "he_normal", "--shape", "512,2048").stdout
        for piece in ("HeNormal", "in 512, out 2048", "sqrt(2 / 512) / 0.87962566103423978", "cut at"):
            self.assertIn(piece, text)


class Config(unittest.TestCase):
    def test_forms(self):
        keras3 = json.loads(run("config", "he_normal").stdout)
        self.assertEqual(keras3, {"module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": None}, "registered_name": None})
        tf2 = json.loads(run("config", json.dumps(keras3), "--form", "tf2").stdout)
        self.assertEqual(tf2, {"class_name": "HeNormal", "config": {"seed": None}})
        self.assertEqual(json.loads(run("config", '{"class_name": "Constant", "config": {"value": -Infinity}}').stdout)["config"], {"value": -math.inf})
        self.assertEqual(run("config", "he_normal", "--form", "keras4").returncode, 2)
        self.assertEqual(run("config", "{").returncode, 2)


class Model(InFolder):
    def spec(self, **changes):
        spec = {"tensors": {"a.weight": [64, 32], "a.bias": [32], "b.weight": {"shape": [32, 8], "dtype": "bfloat16"}},
                "rules": [{"match": "*.bias", "initializer": "zeros"}, {"match": "*", "initializer": "he_normal"}]}
        spec.update(changes)
        path = os.path.join(self.folder.name, "spec.json")
        pathlib.Path(path).write_text(json.dumps(spec))
        return path

    def test_gpt2(self):
        out = os.path.join(self.folder.name, "gpt2.safetensors")
        result = run("model", str(PROJECT / "examples/models/gpt2.json"), "--seed", "42", "--out", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("148 tensors, 124439808 elements, seed 42", result.stdout)
        self.assertIn("memset", result.stdout)
        self.assertNotIn(" !", result.stdout)
        header, data = read_safetensors(out)
        self.assertEqual(header.pop("__metadata__")["fanin.seed"], "42")
        self.assertEqual(len(header), 148)
        self.assertEqual(header["h.11.attn.c_attn.weight"]["shape"], [768, 2304])
        self.assertEqual(len(data), 4 * 124439808)
        # A tensor of the model equals a fill with that name.
        npy = os.path.join(self.folder.name, "one.bin")
        run("fill", "--init", "random_normal", "--set", "stddev=0.02", "--shape", "768,2304", "--seed", "42", "--name",
            "h.11.attn.c_attn.weight", "--out", npy)
        begin, end = header["h.11.attn.c_attn.weight"]["data_offsets"]
        self.assertEqual(pathlib.Path(npy).read_bytes(), data[begin:end])
        # Another order, other tensors and one thread change nothing.
        again = os.path.join(self.folder.name, "again.safetensors")
        run("model", str(PROJECT / "examples/models/gpt2.json"), "--seed", "42", "--threads", "1", "--out", again)
        self.assertEqual(pathlib.Path(again).read_bytes(), pathlib.Path(out).read_bytes())

    def test_resnet50(self):
        out = os.path.join(self.folder.name, "resnet50.safetensors")
        result = run("model", str(PROJECT / "examples/models/resnet50.json"), "--seed", "1", "--out", out)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("161 tensors, 25557032 elements", result.stdout)
        row = next(line.split() for line in result.stdout.splitlines() if line.startswith("layer1.{0…2}.conv2.weight ×3 "))
        self.assertIn("576/576", row)
        self.assertAlmostEqual(float(row[-4]), math.sqrt(2 / 576), delta=1e-5)

    def test_mixed_dtypes_are_aligned_and_dense(self):
        out = os.path.join(self.folder.name, "m.safetensors")
        report = os.path.join(self.folder.name, "m.json")
        result = run("model", self.spec(), "--seed", "1", "--out", out, "--report", report)
        self.assertEqual(result.returncode, 0, result.stderr)
        header, data = read_safetensors(out)
        header.pop("__metadata__")
        end = 0
        for tensor in header.values():
            self.assertEqual(tensor["data_offsets"][0], end)
            end = tensor["data_offsets"][1]
        self.assertEqual(end, len(data))
        self.assertEqual(header["b.weight"]["dtype"], "BF16")
        self.assertEqual([t["name"] for t in json.loads(pathlib.Path(report).read_text())["tensors"]], list(header))

    def test_what_a_dtype_cannot_hold_is_noted(self):
        big = {"class_name": "Constant", "config": {"value": 1e6}}
        for more in (["--check"], ["--seed", "1", "--out", os.path.join(self.folder.name, "m.safetensors")]):
            result = run("model", self.spec(dtype="float16", rules=[{"match": "*", "initializer": big}]), *more)
            self.assertIn("fanin: note: a.weight: 1e+06 is outside float16, whose largest value is 65504", result.stderr)
            self.assertEqual(result.stderr.count("is outside"), 1)  # once for a rule and dtype
        formula = {"class_name": "Formula", "config": {"value": "1e6"}}
        self.refused("model", self.spec(dtype="float16", rules=[{"match": "*", "initializer": formula}]), "--seed", "1",
                     "--out", os.path.join(self.folder.name, "n.safetensors"), says='(for the tensor "a.weight")')

    def test_the_schema_reserves_the_names_of_formulas(self):
        defined = json.loads((PROJECT / "docs/model-spec.schema.json").read_text())
        patterns = {defined["properties"]["constants"]["propertyNames"]["pattern"], defined["$defs"]["repeat"]["propertyNames"]["pattern"]}
        self.assertEqual(len(patterns), 1)
        reserved = re.search(r"\(\?!\(([\w|]+)\)\$\)", patterns.pop())[1].split("|")
        used = {"fan_in", "fan_out", "calculate_gain"}
        for value, before in (("nothing(1)", " only "), ("nothing", " Known: ")):
            message = run("describe", "--shape", "2", "--init", "formula", "--set", "value=" + value).stderr
            used |= set(re.findall(r"\w+", message.split(before)[1])) - {"k", "or"}
        self.assertEqual(used, set(reserved))
        for name in reserved:
            self.refused("model", self.spec(constants={name: 1}), "--check", says=f'formulas use the name "{name}" already')

    def test_a_taken_tensors_later_rules_need_not_fit(self):
        rules = [{"match": "h.*", "initializer": "zeros"}, {"match": "h.{layer}.w", "rank": "layer + 2", "initializer": "ones"}]
        for names in (("h.a.w", "h.0.w"), ("h.0.w", "h.a.w")):
            result = run("model", self.spec(tensors={name: [2, 2] for name in names}, rules=rules), "--check")
            self.assertEqual(result.returncode, 0, result.stderr)
        self.refused("model", self.spec(tensors={"h.a.w": [2, 2]}, rules=rules[::-1]), "--check", says='the capture "layer" is "a" here')

    def test_formulas_of_rules(self):
        out = os.path.join(self.folder.name, "m.safetensors")
        scaling = {"class_name": "VarianceScaling", "config": {"lower": "-sqrt(3)", "upper": 2}}
        self.assertIn("VarianceScaling", run("model", self.spec(rules=[{"match": "*", "initializer": scaling}]), "--check").stdout)
        zero = {"class_name": "Constant", "config": {"value": "(layer - 1) * 0"}}
        spec = self.spec(tensors={"h.{layer}": {"shape": [1], "repeat": {"layer": 3}}}, rules=[{"match": "h.{layer}", "initializer": zero}])
        self.assertEqual(run("model", spec, "--seed", "1", "--out", out).returncode, 0)
        self.assertEqual(read_safetensors(out)[1], struct.pack("<3f", -0.0, 0.0, 0.0))

    def test_a_report_of_a_folder_that_is_no_text(self):
        folder = os.path.join(os.fsencode(self.folder.name), b"\xff")
        os.mkdir(folder)
        part, spec, out, report = (os.path.join(folder, name) for name in (b"part.safetensors", b"spec.json", b"m.safetensors", b"report.json"))
        tensors = {"a": [2]}
        pathlib.Path(os.fsdecode(spec)).write_text(json.dumps({"tensors": tensors, "rules": [{"match": "*", "initializer": "ones"}]}))
        self.assertEqual(run("model", spec, "--seed", "1", "--out", part, errors="surrogateescape").returncode, 0)
        pathlib.Path(os.fsdecode(spec)).write_text(json.dumps({"tensors": tensors, "rules": [{"match": "*", "load": "part.safetensors"}]}))
        result = run("model", spec, "--seed", "1", "--out", out, "--report", report, errors="surrogateescape")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("part.safetensors", json.loads(pathlib.Path(os.fsdecode(report)).read_text())["tensors"][0]["load"])
        self.assertEqual(json.loads(run("spec", out, errors="surrogateescape").stdout)["tensors"], {"a": [2]})

    def test_long_patterns_and_tensors_without_parts(self):
        self.refused("model", self.spec(rules=[{"match": "*" * 1_000_000, "initializer": "ones"}]), "--check", says="at most 1000")
        none = {"shape": [0, 3], "parts": [{"name": "p{e}", "size": 1, "repeat": {"e": 0}}]}
        for more in (["--check"], ["--seed", "1", "--out", os.path.join(self.folder.name, "m.safetensors")]):
            self.refused("model", self.spec(tensors={"a": none}), *more, says="the tensor has no part")

    def test_check_refuses_what_cannot_be_written(self):
        self.refused("model", self.spec(tensors={"a": [1] * 65}), "--check", says="NumPy loads at most 64")
        self.refused("model", self.spec(tensors={f"t{j}": [1 << 31, 1 << 25] for j in range(64)}), "--check", says="at most 2^63 - 1 bytes")

    def test_bad_specifications(self):
        out = os.path.join(self.folder.name, "m.safetensors")
        pathlib.Path(out).write_bytes(b"precious")
        refuse = lambda says, **changes: self.refused("model", self.spec(**changes), "--seed", "1", "--out", out, says=says)
        refuse("no rule matches", rules=[{"match": "a.*", "initializer": "zeros"}])
        refuse('spec.json: tensors.x: ', tensors={"x": [2, -1]})
        refuse('spec.json: tensors.x.dtype: ', tensors={"x": {"shape": [2], "dtype": "int8"}})
        refuse('"shape"?', tensors={"x": {"shpe": [2]}})
        refuse("rules[0]", rules=[{"match": "*", "initializer": "he_norml"}])
        refuse("rules[0]", rules=[{"match": "*"}])
        refuse("rules", rules={})
        refuse("unknown key", bogus=1)
        refuse("tensor \"x\"", tensors={"x": [2, 2, 2]}, rules=[{"match": "*", "initializer": "identity"}])
        self.refused("model", os.path.join(self.folder.name, "none.json"), "--out", out, says="none.json")
        self.refused("model", self.spec(), "--seed", "-1", "--out", out, says="--seed")
        self.refused("model", self.spec(), "--out", out, "--report", os.path.join(self.folder.name, "no", "r.json"), says="No such file")
        self.refused("model", self.spec(), "--out", out, "--report", out, says="different files")
        self.refused("model", self.spec(), "--out", self.spec(), says="ends in .safetensors")
        self.refused("model", self.spec(), "--out", "")
        path = os.path.join(self.folder.name, "spec.json")
        pathlib.Path(path).write_text('{"tensors": {"a": [1], "a": [2]}, "rules": []}')
        self.refused("model", path, "--out", out, says="twice")
        pathlib.Path(path).write_text('{"tensors":\n {"a": [1,]}}')
        self.refused("model", path, "--out", out, says="line 2, column")


class ModelCheck(InFolder):
    SPEC = {
        "name": "tiny", "dtype": "bfloat16", "layout": "OI", "constants": {"layers": 3, "width": 8},
        "tensors": {
            "emb": {"shape": ["4 * width", "width"], "parts": [{"size": 1, "initializer": "zeros"}, {"size": "4 * width - 1"}]},
            "h.{layer}.w": {"shape": ["width", "2 * width"], "repeat": {"layer": "layers"}},
            "h.{layer}.norm": {"shape": ["width"], "repeat": {"layer": "layers"}},
            "h.{layer}.qkv": {"shape": ["3 * width", "width"], "repeat": {"layer": "layers"},
                              "parts": [{"name": "h.{layer}.{j}", "repeat": {"j": 3}, "size": "width"}]},
            "head": {"tie": "emb"}},
        "rules": [
            {"match": "*.norm", "dtype": "float32", "initializer": "ones"},
            {"match": "h.{layer}.w", "initializer": {"class_name": "RandomNormal", "config": {"stddev": "0.5 / (layer + 1)"}}},
            {"match": "*", "initializer": "he_normal"}]}

    def model(self, *arguments, **options):
        path = os.path.join(self.folder.name, "spec.json")
        pathlib.Path(path).write_text(json.dumps(self.SPEC))
        result = run("model", path, *arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_check_explains_every_tensor_and_writes_nothing(self):
        text = self.model("--check")
        self.assertEqual(os.listdir(self.folder.name), ["spec.json"])
        self.assertEqual(text, """\
h.{0…2}.norm ×3  [8]  float32
    rules[0] "*.norm": Ones, fans 8/8; every element is 1
emb  [32, 8]  bfloat16
    tied: head
    part emb[0]  [1, 8]
        its own: Zeros, fans 8/1; every element is 0
    part emb[1]  [31, 8]
        rules[2] "*": HeNormal, fans 8/31; stddev = sqrt(scale / fan_in) / 0.87962566103423978 = sqrt(2 / 8) / \
0.87962566103423978 = 0.5684236171692783, cut at 2 stddev
h.{0…2}.w ×3  [8, 16]  bfloat16
    rules[1] "h.{layer}.w": RandomNormal, fans 16/8; stddev = 0.5 / (layer + 1) = 0.5 … 0.16666666666666666; mean = 0, stddev = 0.5 … 0.16666666666666666
h.{0…2}.qkv ×3  [24, 8]  bfloat16
    part h.0.0 to h.0.2 ×3  [8, 8]
        rules[2] "*": HeNormal, fans 8/8; stddev = sqrt(scale / fan_in) / 0.87962566103423978 = sqrt(2 / 8) / \
0.87962566103423978 = 0.5684236171692783, cut at 2 stddev
tiny: 10 tensors with 11 names, 1240 parameters
""")

    def test_dry_run_and_replaced_constants(self):
        text = self.model("--dry-run", "--constant", "layers=1", "--constant", "width=4", "--dtype", "float16")
        self.assertIn("tiny: 4 tensors with 5 names, 148 parameters", text)
        self.assertIn("    4 elements of float32", text)
        self.assertIn("bytes in 1 file, of which 304 are elements", text)
        self.assertIn("h.0.w  [4, 8]  float16", text)
        path = os.path.join(self.folder.name, "spec.json")
        self.refused("model", path, "--check", "--constant", "layrs=1", says='"layers"?')
        for constant in ("layers", "layers=", "=1", "layers=x", "layers=1e999", "layers=inf"):
            self.refused("model", path, "--check", "--constant", constant, says="--constant")
        self.refused("model", path, "--check", "--dtype", "int8", says="int8")
        self.refused("model", path, says="--out")

    def test_loaded_tensors_are_copied(self):
        write = lambda name, spec: pathlib.Path(self.folder.name, name).write_text(json.dumps(spec))
        at = lambda name: os.path.join(self.folder.name, name)
        write("base.json", {"dtype": "bfloat16", "tensors": {"model.a": [6, 4]}, "rules": [{"match": "*", "initializer": "he_normal"}]})
        self.assertEqual(run("model", at("base.json"), "--seed", "5", "--out", at("base.safetensors")).returncode, 0)
        base = read_safetensors(at("base.safetensors"))[1]
        spec = {"tensors": {"base.a": [6, 4], "fused": {"shape": [6, 8], "axis": 1, "parts": [{"name": "model.a", "size": 4}, {"size": 4}]}},
                "rules": [{"match": "base.{rest*}", "load": {"file": "base.safetensors", "name": "model.{rest*}"}},
                          {"match": "model.a", "load": "base.safetensors"}, {"match": "*", "initializer": "ones"}]}
        write("s.json", spec)
        result = run("model", at("s.json"), "--seed", "1", "--out", at("s.safetensors"))
        self.assertEqual(result.returncode, 0, result.stderr)
        header, data = read_safetensors(at("s.safetensors"))
        self.assertEqual(header["base.a"]["dtype"], "BF16")
        self.assertEqual(data[slice(*header["base.a"]["data_offsets"])], base)
        ones = b"\x80\x3f" * 4
        self.assertEqual(data[slice(*header["fused"]["data_offsets"])],
                         b"".join(base[8 * row:8 * row + 8] + ones for row in range(6)))
        for changes, says in (({"tensors": {"base.a": [6, 5]}}, "rules[0].load.file: \"model.a\" has the shape [6, 4]"),
                              ({"tensors": {"base.b": [6, 4]}}, 'has no tensor "model.b"'),
                              ({"rules": [{"match": "*", "load": "none.safetensors"}]}, "rules[0].load: "),
                              ({"tensors": {"base.a": {"shape": [6, 4], "dtype": "float32"}}}, "not converted")):
            write("bad.json", {**spec, **changes})
            self.refused("model", at("bad.json"), "--check", says=says)

    def test_standard_input(self):
        result = run("model", "-", "--check", input=json.dumps(self.SPEC))
        self.assertIn("1240 parameters", result.stdout)
        result = run("model", "-", "--check", input="[")
        self.assertEqual(result.returncode, 2)
        self.assertIn("standard input at line 1", result.stderr)

    def test_names_do_not_control_the_terminal(self):
        spec = {"name": "m\x1b[31m", "tensors": {"a\x9b31m": [2, 2], "b\x1bc": [2, 2], "é": [2, 2]},
                "rules": [{"match": "b*", "initializer": "he_normal"}, {"match": "*", "initializer": "he_normal", "fan_of": "b\x1bc"}]}
        result = run("model", "-", "--check", input=json.dumps(spec))
        self.assertEqual(result.returncode, 0, result.stderr)
        for sign in ("\x1b", "\x9b"):
            self.assertNotIn(sign, result.stdout)
        for text in ("m?[31m: 3 tensors", "a?31m", "fans of b?c", "é"):
            self.assertIn(text, result.stdout)

    def test_a_later_rule_that_does_not_fit_takes_no_time(self):
        spec = {"tensors": {f"t{j}.w": [2] for j in range(20000)},
                "rules": [{"match": "*", "initializer": "zeros"}, {"match": "{x}.w", "rank": "x", "initializer": "ones"}]}
        start = time.monotonic()
        result = run("model", "-", "--check", input=json.dumps(spec))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("no tensor takes rules[1]", result.stderr)
        self.assertLess(time.monotonic() - start, 10)

    def test_the_report_has_all_tensors(self):
        report = os.path.join(self.folder.name, "r.json")
        self.model("--check", "--report", report)
        tensors = {tensor["name"]: tensor for tensor in json.loads(pathlib.Path(report).read_text())["tensors"]}
        self.assertEqual(len(tensors), 10)
        self.assertEqual(tensors["h.2.w"]["reason"], "stddev = 0.5 / (layer + 1) = 0.16666666666666666")
        self.assertEqual([part["name"] for part in tensors["h.1.qkv"]["parts"]], ["h.1.0", "h.1.1", "h.1.2"])
        self.assertEqual(tensors["emb"]["ties"], ["head"])

    def test_the_table_folds_what_captures_made(self):
        out = os.path.join(self.folder.name, "m.safetensors")
        lines = self.model("--seed", "1", "--out", out).splitlines()
        rows = [line for line in lines if line.startswith("h.")]
        self.assertEqual([row.split("  ")[0] for row in rows], ["h.{0…2}.norm ×3", "h.{0…2}.w ×3", "h.{0…2}.qkv ×3"])
        self.assertIn("0.16667…0.5 ", rows[1])
        self.assertNotIn(" !", "".join(lines))
        # A fused tensor has the values of separate ones.
        header, data = read_safetensors(out)
        begin, end = header["h.1.qkv"]["data_offsets"]
        raw = os.path.join(self.folder.name, "w.bin")
        parts = b""
        for j in range(3):
            run("fill", "--init", "he_normal", "--shape", "8,8", "--layout", "oihw", "--dtype", "bfloat16", "--seed", "1",
                "--name", "h.1.%d" % j, "--out", raw)
            parts += pathlib.Path(raw).read_bytes()
        self.assertEqual(data[begin:end], parts)


class Help(unittest.TestCase):
    def test_help_and_version(self):
        for arguments in (["--help"], ["fill", "--help"], ["--version"]):
            result = run(*arguments)
            self.assertEqual((result.returncode, result.stderr), (0, ""), arguments)
            self.assertTrue(result.stdout)

    def test_a_closed_or_full_standard_output_is_an_error(self):
        with open("/dev/full", "w") as full:
            for arguments in (["config", "ones"], ["--help"], ["--version"], ["fill", "--help"], ["help"]):
                result = subprocess.run([PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
                self.assertEqual(result.returncode, 2)
                self.assertIn("cannot write to standard output", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
