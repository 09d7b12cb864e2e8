// SPDX-License-Identifier: Apache-2.0
#include "fanin/safetensors.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "fanin/error.h"

namespace {

namespace fs = std::filesystem;
using fanin::read_checkpoint;

class SafetensorsFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              (std::string("fanin_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }

  // A file with this header and so many bytes after it.
  std::string file(const std::string& name, const std::string& header, std::size_t bytes) const {
    return write(name, length(header.size()) + header + std::string(bytes, '\1'));
  }

  static std::string length(std::uint64_t n) {
    std::string text;
    for (int j = 0; j < 8; ++j) text += static_cast<char>(n >> (8 * j) & 0xff);
    return text;
  }

  static void expect_refused(const std::string& file, const std::string& reason) {
    try {
      read_checkpoint(file);
      ADD_FAILURE() << "accepted; expected: " << reason;
    } catch (const fanin::InvalidArgument& error) {
      EXPECT_NE(std::string(error.what()).find(reason), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(file), std::string::npos) << error.what();
    }
  }

  fs::path folder_;
};

constexpr const char* two = R"({"__metadata__":{"k":"v"},"b":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},)"
                            R"("a":{"shape":[2,1],"data_offsets":[0,8],"dtype":"F32"}} )";

TEST_F(SafetensorsFiles, TensorsComeInTheOrderOfTheirElements) {
  const auto checkpoint = read_checkpoint(file("f.safetensors", two, 16));
  ASSERT_EQ(checkpoint.tensors.size(), 2u);
  EXPECT_EQ(checkpoint.tensors[0].name, "a");
  EXPECT_EQ(checkpoint.tensors[0].shape, (fanin::Shape{2, 1}));
  EXPECT_EQ(checkpoint.tensors[0].dtype, fanin::DType::float32);
  EXPECT_EQ(checkpoint.tensors[0].offset, 8 + std::string(two).size());
  EXPECT_EQ(checkpoint.tensors[1].dtype, std::nullopt);
  EXPECT_EQ(checkpoint.tensors[1].dtype_name, "I64");
  EXPECT_EQ(checkpoint.metadata, (std::vector<std::pair<std::string, std::string>>{{"k", "v"}}));
}

TEST_F(SafetensorsFiles, WhatIsWrittenIsRead) {
  const std::vector<fanin::StoredTensor> tensors{{"größe", {3, 2}, fanin::DType::float64},
                                                 {"none", {0, 5}, fanin::DType::float32},
                                                 {"s", {}, fanin::DType::float8_e4m3fn}};
  const auto checkpoint =
      read_checkpoint(write("f.safetensors", fanin::safetensors_header(tensors, {{"x", "y"}}) + std::string(49, 'x')));
  ASSERT_EQ(checkpoint.tensors.size(), 3u);
  EXPECT_EQ(checkpoint.tensors[0].offset % 8, 0u);  // so that a mapped file has aligned elements
  for (std::size_t j = 0; j < 3; ++j) {
    EXPECT_EQ(checkpoint.tensors[j].name, tensors[j].name);
    EXPECT_EQ(checkpoint.tensors[j].shape, tensors[j].shape);
    EXPECT_EQ(checkpoint.tensors[j].dtype, tensors[j].dtype);
  }
}

TEST_F(SafetensorsFiles, MalformedFilesAreRefused) {
  expect_refused(path("none"), "No such file");
  expect_refused(write("f", "1234567"), "7 bytes");
  expect_refused(write("f", length(100'000'001)), "100000000");
  expect_refused(write("f", length(~std::uint64_t{0})), "100000000");
  expect_refused(write("f", length(10) + "{}"), "10 bytes");
  expect_refused(file("f", "", 0), "begin with {");
  expect_refused(file("f", " {}", 0), "begin with {");
  expect_refused(file("f", "{} x", 0), "malformed JSON");
  expect_refused(file("f", std::string("{}\0{", 4), 0), "NUL");
  expect_refused(file("f", "{", 0), "malformed JSON");
  expect_refused(file("f", "{}", 3), "0 of 3");
  expect_refused(file("f", R"({"a":1})", 0), "a number");
  expect_refused(file("f", R"({"a":{}})", 0), "needs");
  expect_refused(file("f", R"({"__metadata__":{"a":1}})", 0), "a number");
  expect_refused(file("f", R"({"__metadata__":{"a":"1","a":"1"}})", 0), "twice");
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"("a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  const auto one = [&](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return file("f", "{" + entry(dtype, shape, offsets) + "}", 8);
  };
  EXPECT_EQ(read_checkpoint(one("F32", "[2]", "[0,8]")).tensors.size(), 1u);
  EXPECT_EQ(read_checkpoint(one("F4", "[2,8]", "[0,8]")).tensors.size(), 1u);
  expect_refused(one("F33", "[2]", "[0,8]"), "F33");
  expect_refused(one("F4", "[3]", "[0,8]"), "whole number");
  expect_refused(one("F32", "[3]", "[0,8]"), "12 bytes");
  expect_refused(one("F32", "[2]", "[8,0]"), "[8, 0]");
  expect_refused(one("F32", "[2]", "[0,9]"), "do not fit");
  expect_refused(one("F32", "[4]", "[0,16]"), "outside");
  expect_refused(one("F32", "[1]", "[4,8]"), "gap");
  expect_refused(one("F32", "[1]", "[0,4]"), "4 of 8");
  expect_refused(one("F32", "[-2]", "[0,8]"), "negative");
  expect_refused(one("F32", "[2.0]", "[0,8]"), "2.0");
  expect_refused(one("F32", "[[2]]", "[0,8]"), "a list");
  expect_refused(one("F32", "[2]", "[0,8,9]"), "a number");
  expect_refused(one("F32", "[2]", "[8]"), "two numbers");
  expect_refused(one("F32", "[4294967296,4294967296]", "[0,8]"), "64 bits");
  expect_refused(one("F32", "[9223372036854775808]", "[0,8]"), "huge");
  expect_refused(one("F32", "[18446744073709551616]", "[0,8]"), "1844674407370955161");
  std::string ranks = "[1";
  for (int j = 1; j < 65; ++j) ranks += ",1";
  expect_refused(file("f", "{" + entry("F32", ranks + "]", "[0,4]") + "}", 4), "65 dimensions");
  expect_refused(file("f", "{" + entry("F32", "[2]", "[0,8]") + "," + entry("F32", "[2]", "[0,8]") + "}", 8), "twice");
  expect_refused(
      file("f", "{" + entry("F32", "[2]", "[0,8]") + R"(,"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", 8),
      "overlap");
}

TEST_F(SafetensorsFiles, Directories) {
  expect_refused(folder_.string(), "no safetensors file");
  const std::string a = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  const std::string b = R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  file("1.safetensors", a, 1);
  file("2.safetensors", b, 1);
  EXPECT_EQ(read_checkpoint(folder_.string()).tensors.size(), 2u);
  const std::string index = "model.safetensors.index.json";
  write(index, R"({"metadata":{},"weight_map":{"a":"1.safetensors","b":"2.safetensors"}})");
  EXPECT_EQ(read_checkpoint(folder_.string()).files.size(), 2u);
  EXPECT_EQ(read_checkpoint(path(index)).tensors[1].file, 1u);
  const auto refused = [&](const std::string& map, const std::string& reason) {
    expect_refused(write(index, R"({"weight_map":)" + map + "}"), reason);
  };
  refused(R"({"a":"1.safetensors","b":"1.safetensors"})", "1.safetensors");
  refused(R"({"a":"2.safetensors","b":"1.safetensors"})", "not in");
  write(index, R"({"weight_map":{"a":"1.safetensors"}})");
  EXPECT_EQ(read_checkpoint(folder_.string()).tensors.size(), 1u);  // a file that it does not name is no part
  refused(R"({"a":"1.safetensors","b":"../2.safetensors"})", "beside");
  refused(R"({"a":1})", "name");
  refused("[]", "weight_map");
  refused(R"({"a":"1.safetensors","c":"2.safetensors","b":"2.safetensors"})", "c");
  write(index, R"({"weight_map":{"a":"1.safetensors","b":"3.safetensors"}})");
  EXPECT_THROW(read_checkpoint(path(index)), fanin::InvalidArgument);
  fs::remove(path(index));
  file("2.safetensors", a, 1);
  try {
    read_checkpoint(folder_.string());
    ADD_FAILURE();
  } catch (const fanin::InvalidArgument& error) {
    EXPECT_NE(std::string(error.what()).find("two files"), std::string::npos) << error.what();
  }
}

TEST(SafetensorsHeader, WhatNoReaderTakesIsRefused) {
  using fanin::DType;
  std::vector<fanin::StoredTensor> tensors;
  for (int j = 0; j < 15; ++j) tensors.push_back({"a" + std::to_string(j), {std::int64_t{1} << 56}, DType::float64});
  EXPECT_NO_THROW(fanin::safetensors_header(tensors, {}));
  tensors.push_back({"b", {std::int64_t{1} << 56}, DType::float64});
  EXPECT_THROW(fanin::safetensors_header(tensors, {}), fanin::InvalidArgument);
  EXPECT_THROW(fanin::safetensors_header({{"a", std::vector<std::int64_t>(65, 1), DType::float64}}, {}),
               fanin::InvalidArgument);
  EXPECT_THROW(fanin::safetensors_header({}, {{"k", std::string(100'000'000, 'x')}}), fanin::InvalidArgument);
}

}  // namespace
