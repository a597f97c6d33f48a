// Events: what each call on an event costs the host: create and destroy, record, query and synchronise when it is
// already over, the time between two. Bound by the driver alone. What events say is checked, too: not ready while the
// stream is held, and between two around a hold at least as long as the host held it, and no longer than it saw.
#include <thread>

#include "workload/path/hold.h"
#include "workload/path/programs.h"
#include "workload/timing.h"

namespace nm::workload::path {

void events(Run& run) {
  device::Device& device = run.device();
  const CUstream stream = device::cuda_stream(device);
  const int calls = run.pick(64, 256, 256);
  std::vector<CUevent> list(static_cast<size_t>(calls));
  const auto per_call = [&](const auto& call) {
    return 1e6 * seconds_of([&] {
             for (CUevent& event : list) call(event);
           }) /
           calls;
  };
  std::vector<double> create, record, query, synchronise, elapsed, destroy;
  for (int pass = -1; pass < run.passes(); ++pass) {
    const double created = per_call([](CUevent& event) { CU(cuEventCreate, &event, CU_EVENT_DEFAULT); });
    const double recorded = per_call([&](CUevent event) { CU(cuEventRecord, event, stream); });
    device.finish();
    const double queried = per_call([](CUevent event) { CU(cuEventQuery, event); });
    const double waited = per_call([](CUevent event) { CU(cuEventSynchronize, event); });
    float milliseconds = 0;
    const double between = per_call([&](CUevent event) { CU(cuEventElapsedTime, &milliseconds, list.front(), event); });
    const double destroyed = per_call([](CUevent event) { CU(cuEventDestroy_v2, event); });
    if (pass < 0) continue;
    create.push_back(created), record.push_back(recorded), query.push_back(queried);
    synchronise.push_back(waited), elapsed.push_back(between), destroy.push_back(destroyed);
  }
  run.sample({"event_create", "us", false}, create);
  run.sample({"event_record", "us", false}, record);
  run.sample({"event_query", "us", false}, query);
  run.sample({"event_synchronize", "us", false}, synchronise);
  run.sample({"event_elapsed", "us", false}, elapsed);
  run.sample({"event_destroy", "us", false}, destroy);

  Hold hold(device);
  CUevent before = nullptr, behind = nullptr;
  CU(cuEventCreate, &before, CU_EVENT_DEFAULT);
  CU(cuEventCreate, &behind, CU_EVENT_DEFAULT);
  CUresult while_held = CUDA_SUCCESS;
  double held = 0;
  const double seen = seconds_of([&] {
    CU(cuEventRecord, before, stream);
    hold.begin();
    CU(cuEventRecord, behind, stream);
    CU(cuEventSynchronize, before);  // it lies behind: what follows is between the two
    held = seconds_of([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      while_held = device::cuda_api().cuEventQuery(behind);
    });
    hold.release();
    CU(cuEventSynchronize, behind);
  });
  float milliseconds = 0;
  CU(cuEventElapsedTime, &milliseconds, before, behind);
  const double told = milliseconds / 1e3;
  // The two clocks may differ by some parts in a thousand; an event's resolution is about a microsecond.
  run.check("an event behind a held stream is not ready", while_held == CUDA_ERROR_NOT_READY);
  run.check("events tell no less than the time that the host held the stream", told >= held * 0.99 - 5e-6);
  run.check("events tell no more than the time that the host saw", told <= seen * 1.01 + 5e-6);
  run.check("the stream was held until it was released", !hold.failed());
  CU(cuEventDestroy_v2, before);
  CU(cuEventDestroy_v2, behind);
}

}  // namespace nm::workload::path
