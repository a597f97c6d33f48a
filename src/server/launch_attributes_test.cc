// Attributes of streams and kernel nodes that name events: the driver sees its own, the client its handles.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>

#include "server/launch_ops.h"
#include "server/session.h"
#include "server_args.h"

namespace nm::server {
namespace {

const auto kDriversEvent = reinterpret_cast<CUevent>(0x5000);
const auto kStream = reinterpret_cast<CUstream>(0x100);
const auto kNode = reinterpret_cast<CUgraphNode>(0x200);

// What the driver was given last, and what it answers with.
CUlaunchAttributeValue g_value;
int g_sets;

template <typename Object>
CUresult set(Object, CUlaunchAttributeID, const CUlaunchAttributeValue* value) {
  g_value = *value;
  g_sets++;
  return CUDA_SUCCESS;
}
template <typename Object>
CUresult get(Object, CUlaunchAttributeID, CUlaunchAttributeValue* value) {
  *value = g_value;
  return CUDA_SUCCESS;
}

class LaunchAttributes : public testing::Test {
 protected:
  void SetUp() override {
    g_value = {};
    g_sets = 0;
    int ends[2];
    ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    client_ = Fd(ends[0]);
    driver_.cuStreamSetAttribute = set<CUstream>;
    driver_.cuStreamGetAttribute = get<CUstream>;
    driver_.cuGraphKernelNodeSetAttribute = set<CUgraphNode>;
    driver_.cuGraphKernelNodeGetAttribute = get<CUgraphNode>;
    // A session takes what its process prints, and this process prints test results.
    int output = dup(STDOUT_FILENO);
    session_ = std::make_unique<Session>(driver_, Connection(wire::socket_stream(Fd(ends[1]), true)), host_functions_,
                                         lanes_);
    dup2(output, STDOUT_FILENO);
    close(output);
    event_ = reinterpret_cast<CUevent>(session_->tables().event.virtual_of(kDriversEvent));
    ASSERT_NE(event_, kDriversEvent);
  }

  CUresult set_node(CUlaunchAttributeID id, const CUlaunchAttributeValue& value) {
    args::cuGraphKernelNodeSetAttribute a{kNode, id, value};
    outs::cuGraphKernelNodeSetAttribute o;
    return hand::cuGraphKernelNodeSetAttribute(*session_, a, o);
  }
  CUresult set_stream(CUlaunchAttributeID id, const CUlaunchAttributeValue& value) {
    args::cuStreamSetAttribute a{kStream, id, value};
    outs::cuStreamSetAttribute o;
    return hand::cuStreamSetAttribute(*session_, a, o);
  }
  CUlaunchAttributeValue get_node(CUlaunchAttributeID id) {
    args::cuGraphKernelNodeGetAttribute a{kNode, id};
    outs::cuGraphKernelNodeGetAttribute o;
    EXPECT_EQ(hand::cuGraphKernelNodeGetAttribute(*session_, a, o), CUDA_SUCCESS);
    return o.value_out;
  }
  CUlaunchAttributeValue get_stream(CUlaunchAttributeID id) {
    args::cuStreamGetAttribute a{kStream, id};
    outs::cuStreamGetAttribute o;
    EXPECT_EQ(hand::cuStreamGetAttribute(*session_, a, o), CUDA_SUCCESS);
    return o.value;
  }

  DriverTable driver_{};
  Fd client_;
  HostFunctions host_functions_;
  wire::Lanes lanes_;
  std::unique_ptr<Session> session_;
  CUevent event_ = nullptr;  // as the client names it
};

TEST_F(LaunchAttributes, TheDriverSeesItsOwnEventAndTheClientItsHandle) {
  CUlaunchAttributeValue value{};
  value.programmaticEvent = {event_, 3, 1};
  for (bool of_node : {true, false}) {
    g_value = {};
    const auto id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT;
    ASSERT_EQ(of_node ? set_node(id, value) : set_stream(id, value), CUDA_SUCCESS);
    EXPECT_EQ(g_value.programmaticEvent.event, kDriversEvent);
    EXPECT_EQ(g_value.programmaticEvent.flags, 3);
    EXPECT_EQ(g_value.programmaticEvent.triggerAtBlockStart, 1);
  }
  EXPECT_EQ(get_node(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT).programmaticEvent.event, event_);
  EXPECT_EQ(get_stream(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT).programmaticEvent.event, event_);

  value = {};
  value.launchCompletionEvent.event = event_;
  ASSERT_EQ(set_node(CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT, value), CUDA_SUCCESS);
  EXPECT_EQ(g_value.launchCompletionEvent.event, kDriversEvent);
  EXPECT_EQ(get_node(CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT).launchCompletionEvent.event, event_);
}

TEST_F(LaunchAttributes, AnEventThatIsNoneNeverReachesTheDriver) {
  for (uint64_t made_up : {0x1234ull, 0x7fff'0000'0000ull, 0xffff'ffff'ffff'ffffull,
                           static_cast<unsigned long long>(reinterpret_cast<uint64_t>(kDriversEvent))}) {
    CUlaunchAttributeValue value{};
    value.programmaticEvent.event = reinterpret_cast<CUevent>(made_up);
    for (auto id : {CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT, CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT}) {
      EXPECT_EQ(set_node(id, value), CUDA_ERROR_INVALID_VALUE);
      EXPECT_EQ(set_stream(id, value), CUDA_ERROR_INVALID_VALUE);
    }
  }
  EXPECT_EQ(g_sets, 0);
}

TEST_F(LaunchAttributes, AnEventThatIsGoneIsNotHandedOut) {
  g_value.programmaticEvent.event = reinterpret_cast<CUevent>(0x6000);
  EXPECT_EQ(get_node(CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT).programmaticEvent.event, nullptr);
  EXPECT_EQ(get_stream(CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT).launchCompletionEvent.event, nullptr);
}

TEST_F(LaunchAttributes, OtherValuesPassAsTheyAre) {
  CUlaunchAttributeValue value{};
  value.accessPolicyWindow.base_ptr = kDriversEvent;
  value.accessPolicyWindow.num_bytes = 512;
  ASSERT_EQ(set_stream(CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW, value), CUDA_SUCCESS);
  EXPECT_EQ(g_value.accessPolicyWindow.base_ptr, kDriversEvent);
  EXPECT_EQ(get_stream(CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW).accessPolicyWindow.num_bytes, 512u);
  value = {};
  value.priority = -2;
  ASSERT_EQ(set_node(CU_LAUNCH_ATTRIBUTE_PRIORITY, value), CUDA_SUCCESS);
  EXPECT_EQ(get_node(CU_LAUNCH_ATTRIBUTE_PRIORITY).priority, -2);
}

TEST_F(LaunchAttributes, ADeviceNodeIsTheDriversToName) {
  CUlaunchAttributeValue value{};
  value.deviceUpdatableKernelNode.deviceUpdatable = 1;
  value.deviceUpdatableKernelNode.devNode = reinterpret_cast<CUgraphDeviceNode>(0x7000);
  ASSERT_EQ(set_node(CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE, value), CUDA_SUCCESS);
  EXPECT_EQ(g_value.deviceUpdatableKernelNode.deviceUpdatable, 1);
  EXPECT_EQ(g_value.deviceUpdatableKernelNode.devNode, nullptr);
}

}  // namespace
}  // namespace nm::server
