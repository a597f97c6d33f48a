#include "softgpu/graph_work.h"

#include "softgpu/context.h"

namespace nm::softgpu {

CUresult RunWork::run(Context& context) const {
  for (const auto& step : steps_) {
    if (context.cancelled()) return context.error();
    const CUresult result = step->run(context);
    if (result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}

std::shared_ptr<const ChildGraphWork> ChildGraphWork::of(GraphPtr graph) {
  graph->owned_by_node = true;
  graph->driver.handles.add(graph);
  return std::make_shared<ChildGraphWork>(std::move(graph));
}

WorkPtr ChildGraphWork::at_launch(Driver& driver) const {
  std::vector<WorkPtr> steps;
  for (const auto& node : graph->sorted()) steps.push_back(node->work->at_launch(driver));
  return std::make_shared<RunWork>(std::move(steps));
}

}  // namespace nm::softgpu
