// GraphLaunch: kernels that do nothing, captured from a stream into a graph: capture and instantiation, what launching
// the graph costs, and a kernel's share of it when graphs follow each other. Bound by the driver, then by the device's
// front end. Compared with LaunchLatency it says what a graph saves.
#include <cstdlib>

#include "workload/path/hold.h"
#include "workload/path/programs.h"
#include "workload/timing.h"

namespace nm::workload::path {
namespace {

class Graph {
 public:
  // `work` is captured from the device's stream.
  template <typename F>
  Graph(device::Device& device, const F& work) : stream_(device::cuda_stream(device)) {
    capture_seconds = seconds_of([&] {
      CU(cuStreamBeginCapture_v2, stream_, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
      work();
      CU(cuStreamEndCapture, stream_, &graph_);
    });
    instantiate_seconds = seconds_of([&] { CU(cuGraphInstantiateWithFlags, &exec_, graph_, 0); });
  }
  ~Graph() {
    if (exec_) device::cuda_api().cuGraphExecDestroy(exec_);
    if (graph_) device::cuda_api().cuGraphDestroy(graph_);
  }
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  void launch() const { CU(cuGraphLaunch, exec_, stream_); }
  double capture_seconds = 0, instantiate_seconds = 0;

 private:
  CUstream stream_;
  CUgraph graph_ = nullptr;
  CUgraphExec exec_ = nullptr;
};

}  // namespace

void graph_launch(Run& run) {
  device::Device& device = run.device();
  const device::Kernel kernel = device.kernel("latency", "plain", "count_1");
  const device::Buffer counter = device.allocate(4);
  device.fill(counter, 0, 0, 4);
  Hold hold(device);
  int expected = 0;
  for (const int kernels : {1, 16, 128}) {
    const auto figure = [&](const char* series) {
      return Figure{std::string(series).append("/").append(std::to_string(kernels)),
                    "us",
                    false,
                    false,
                    series,
                    static_cast<double>(kernels),
                    "kernels"};
    };
    const auto work = [&](int by) {
      return [&, by] {
        for (int i = 0; i < kernels; ++i) device.launch(kernel, {1}, {1}, counter, by);
      };
    };
    std::vector<double> capture, instantiate;
    for (int pass = -1; pass < run.passes(); ++pass) {
      const Graph graph(device, work(0));
      if (pass < 0) continue;
      capture.push_back(1e6 * graph.capture_seconds);
      instantiate.push_back(1e6 * graph.instantiate_seconds);
    }
    run.sample(figure("graph_capture"), capture);
    run.sample(figure("graph_instantiate"), instantiate);

    const int calls = run.pick(8, 64, 64);
    const Graph graph(device, work(0));
    run.sample(figure("graph_launch_sync"), each_pass(run.passes(), [&] {
                 std::vector<double> each;
                 for (int i = 0; i < calls; ++i) {
                   each.push_back(seconds_of([&] {
                     graph.launch();
                     device.finish();
                   }));
                 }
                 return 1e6 * median(each);
               }));
    std::vector<double> issue, unblocked, blocked;
    for (int pass = -1; pass < run.passes(); ++pass) {
      double issued = 0;
      const double total = seconds_of([&] {
        issued = seconds_of([&] {
          for (int i = 0; i < calls; ++i) graph.launch();
        });
        device.finish();
      });
      // Fewer behind a held stream: they must all find room in the driver's queue.
      constexpr int kHeld = 4;
      hold.begin();
      const auto begin = device.mark();
      for (int i = 0; i < kHeld; ++i) graph.launch();
      const auto end = device.mark();
      hold.release();
      const double held = device.seconds_between(*begin, *end);
      if (pass < 0) continue;
      issue.push_back(1e6 * issued / calls);
      unblocked.push_back(1e6 * total / (calls * kernels));
      blocked.push_back(1e6 * held / (kHeld * kernels));
    }
    run.sample(figure("graph_launch_issue"), issue);
    run.sample(figure("graph_kernel_unblocked"), unblocked);
    run.sample(figure("graph_kernel_blocked"), blocked);

    const Graph counting(device, work(1));
    for (int i = 0; i < calls; ++i) counting.launch();
    device.finish();
    expected += calls * kernels;
    run.check("kernels of graphs that ran, " + std::to_string(kernels) + " a graph",
              std::abs(device.download<int>(counter, 1)[0] - expected), 0);
  }
  run.check("the stream was held until all graphs were queued", !hold.failed());
}

}  // namespace nm::workload::path
