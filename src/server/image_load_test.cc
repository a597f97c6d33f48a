// Images loaded by name: who gets one, and who does not.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "server/session.h"
#include "server_args.h"
#include "wire/image_name.h"

namespace nm::server {
namespace {

std::string g_loaded;
int g_loads;
CUresult g_answer;

CUresult load_data(CUmodule* module, const void* image, unsigned, CUjit_option*, void**) {
  g_loads++;
  g_loaded = static_cast<const char*>(image);
  *module = reinterpret_cast<CUmodule>(0x10);
  return g_answer;
}

class ImageLoad : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/nm-images-XXXXXX";
    directory_ = mkdtemp(path);
    g_loads = 0;
    g_answer = CUDA_SUCCESS;
    g_loaded.clear();
    int ends[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    client_ = Fd(ends[0]);
    driver_.cuModuleLoadDataEx = load_data;
    // A session takes what its process prints, and this process prints test results.
    int output = dup(STDOUT_FILENO);
    session_ = std::make_unique<Session>(driver_, Connection(wire::socket_stream(Fd(ends[1]), true)), host_functions_,
                                         lanes_);
    dup2(output, STDOUT_FILENO);
    close(output);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void keep() {
    auto cache = ImageCache::open(directory_, 1 << 20);
    ASSERT_TRUE(cache);
    session_->keep_images(kToken, std::move(*cache));
    ASSERT_TRUE(session_->image_cache().store(bytes()));
  }
  std::span<const uint8_t> bytes() const { return {reinterpret_cast<const uint8_t*>(image_.data()), image_.size()}; }

  struct Asked {
    uint64_t handle = kModule;
    uint32_t form = 0;
    wire::Token token = kToken;
    uint64_t size = 0;  // 0: the image's own
    size_t name_size = 32;
  };
  CUresult ask(const Asked& with, outs::nm_image_load* out) {
    const wire::Digest name = wire::image_name(bytes()), proof = wire::image_proof(with.token, name, bytes());
    args::nm_image_load a{};
    a.handle = with.handle;
    a.form = with.form;
    a.name = std::span(name).first(with.name_size);
    a.proof = proof;
    a.image_size = with.size ? with.size : image_.size();
    return hand::nm_image_load(*session_, a, *out);
  }
  uint32_t known(const Asked& with) {
    outs::nm_image_load out{};
    EXPECT_EQ(ask(with, &out), CUDA_SUCCESS);
    return out.known;
  }

  static constexpr wire::Token kToken{{11, 12}};
  static constexpr uint64_t kModule = wire::Handle{static_cast<uint8_t>(Kind::module), 1, 1}.value();
  std::string image_ = ".version 7.5 // " + std::string(20'000, 'x');
  std::filesystem::path directory_;
  DriverTable driver_{};
  Fd client_;
  HostFunctions host_functions_;
  wire::Lanes lanes_;
  std::unique_ptr<Session> session_;
};

TEST_F(ImageLoad, WhoHasTheImageNeedNotSendIt) {
  keep();
  outs::nm_image_load out{};
  ASSERT_EQ(ask({}, &out), CUDA_SUCCESS);
  EXPECT_EQ(out.known, 1u);
  EXPECT_EQ(out.status, CUDA_SUCCESS);
  EXPECT_EQ(g_loaded, image_) << "with a zero behind it";
  CUmodule module;
  EXPECT_TRUE(session_->tables().module.find(kModule, &module));
}

TEST_F(ImageLoad, WhoKnowsOnlyTheNameGetsNothing) {
  keep();
  EXPECT_EQ(known({.token = {{11, 13}}}), 0u) << "a proof from another session";
  EXPECT_EQ(g_loads, 0);
}

TEST_F(ImageLoad, AnImageOfAnotherSizeIsAnotherOne) {
  keep();
  EXPECT_EQ(known({.size = 20'000}), 0u);
  EXPECT_EQ(known({.size = ~uint64_t{0}}), 0u);
  EXPECT_EQ(g_loads, 0);
}

TEST_F(ImageLoad, WhatNobodySentIsUnknown) {
  keep();
  image_ += "more";
  EXPECT_EQ(known({}), 0u);
}

TEST_F(ImageLoad, AServerThatKeepsNothingSaysSo) { EXPECT_EQ(known({}), 2u); }

TEST_F(ImageLoad, TheDriversRefusalIsTold) {
  keep();
  g_answer = CUDA_ERROR_INVALID_PTX;
  outs::nm_image_load out{};
  ASSERT_EQ(ask({}, &out), CUDA_SUCCESS);
  EXPECT_EQ(out.known, 1u);
  EXPECT_EQ(out.status, CUDA_ERROR_INVALID_PTX);
  CUmodule module;
  EXPECT_FALSE(session_->tables().module.find(kModule, &module));
  EXPECT_TRUE(session_->images().empty());
}

TEST_F(ImageLoad, WhatMakesNoSenseIsRefused) {
  keep();
  outs::nm_image_load out{};
  EXPECT_EQ(ask({.handle = 7}, &out), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(ask({.form = 9}, &out), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(ask({.form = 0x200}, &out), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(ask({.name_size = 31}, &out), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(known({}), 1u);
  EXPECT_EQ(ask({}, &out), CUDA_ERROR_INVALID_VALUE) << "the handle is in use";
}

}  // namespace
}  // namespace nm::server
