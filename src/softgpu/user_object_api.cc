#include "softgpu/graph.h"
#include "softgpu/user_object.h"

using namespace nm::softgpu;

namespace {

// Takes references of the program away; the last one ends the handle.
void release(Call& c, const std::shared_ptr<UserObject>& object, unsigned count) {
  require(count > 0 && count <= object->references);
  object->references -= count;
  if (object->references == 0) c.driver.handles.remove(object.get());
}

}  // namespace

extern "C" {

CUresult cuUserObjectCreate(CUuserObject* object_out, void* ptr, CUhostFn destroy, unsigned initial_refcount,
                            unsigned flags) {
  return call([&](Call& c) {
    require(object_out != nullptr && destroy != nullptr && initial_refcount > 0 && initial_refcount <= 0x7fffffffu);
    require(flags == CU_USER_OBJECT_NO_DESTRUCTOR_SYNC);
    auto object = std::make_shared<UserObject>(ptr, destroy, initial_refcount);
    *object_out = handle_of<CUuserObject>(object.get());
    c.driver.handles.add(std::move(object));
  });
}

CUresult cuUserObjectRetain(CUuserObject object, unsigned count) {
  return call([&](Call& c) {
    require(count > 0 && count <= 0x7fffffffu);
    c.driver.handles.get<UserObject>(object, CUDA_ERROR_INVALID_VALUE)->references += count;
  });
}

CUresult cuUserObjectRelease(CUuserObject object, unsigned count) {
  return call([&](Call& c) { release(c, c.driver.handles.get<UserObject>(object, CUDA_ERROR_INVALID_VALUE), count); });
}

CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned count, unsigned flags) {
  return call([&](Call& c) {
    require(count > 0 && count <= 0x7fffffffu && flags <= CU_GRAPH_USER_OBJECT_MOVE);
    const auto g = c.driver.handles.get<Graph>(graph, CUDA_ERROR_INVALID_VALUE);
    const auto o = c.driver.handles.get<UserObject>(object, CUDA_ERROR_INVALID_VALUE);
    require(flags == 0 || count <= o->references);
    g->user_objects[o] += count;
    if (flags == CU_GRAPH_USER_OBJECT_MOVE) release(c, o, count);
  });
}

CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned count) {
  return call([&](Call& c) {
    const auto g = c.driver.handles.get<Graph>(graph, CUDA_ERROR_INVALID_VALUE);
    for (auto it = g->user_objects.begin(); it != g->user_objects.end(); ++it) {
      if (handle_of<CUuserObject>(it->first.get()) != object) continue;
      require(count > 0 && count <= it->second);
      it->second -= count;
      if (it->second == 0) g->user_objects.erase(it);
      return;
    }
    fail(CUDA_ERROR_INVALID_VALUE);
  });
}

}  // extern "C"
