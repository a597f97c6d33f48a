// uncommitted
#include "server_args.h"
namespace nm::server::hand {
__attribute__((weak)) CUresult cuStreamBeginCaptureToGraph(Session&, args::cuStreamBeginCaptureToGraph&, outs::cuStreamBeginCaptureToGraph&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult cuStreamBeginCapture_v2(Session&, args::cuStreamBeginCapture_v2&, outs::cuStreamBeginCapture_v2&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult cuStreamEndCapture(Session&, args::cuStreamEndCapture&, outs::cuStreamEndCapture&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_pointer_attribute(Session&, args::nm_pointer_attribute&, outs::nm_pointer_attribute&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_pointer_set_attribute(Session&, args::nm_pointer_set_attribute&, outs::nm_pointer_set_attribute&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_range_attribute(Session&, args::nm_range_attribute&, outs::nm_range_attribute&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_pool_attribute(Session&, args::nm_pool_attribute&, outs::nm_pool_attribute&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_mem_attribute(Session&, args::nm_graph_mem_attribute&, outs::nm_graph_mem_attribute&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_prefetch(Session&, args::nm_prefetch&, outs::nm_prefetch&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_export_fd(Session&, args::nm_export_fd&, outs::nm_export_fd&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_import_fd(Session&, args::nm_import_fd&, outs::nm_import_fd&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_capture_info(Session&, args::nm_capture_info&, outs::nm_capture_info&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_kernel_node(Session&, args::nm_graph_kernel_node&, outs::nm_graph_kernel_node&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_kernel_params(Session&, args::nm_graph_kernel_params&, outs::nm_graph_kernel_params&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_memcpy_node(Session&, args::nm_graph_memcpy_node&, outs::nm_graph_memcpy_node&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_memcpy_params(Session&, args::nm_graph_memcpy_params&, outs::nm_graph_memcpy_params&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_host_node(Session&, args::nm_graph_host_node&, outs::nm_graph_host_node&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_host_params(Session&, args::nm_graph_host_params&, outs::nm_graph_host_params&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_instantiate(Session&, args::nm_graph_instantiate&, outs::nm_graph_instantiate&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_update(Session&, args::nm_graph_update&, outs::nm_graph_update&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_feed(Session&, args::nm_graph_feed&, outs::nm_graph_feed&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_capture_copy(Session&, args::nm_capture_copy&, outs::nm_capture_copy&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_alloc_node(Session&, args::nm_graph_alloc_node&, outs::nm_graph_alloc_node&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_batch_node(Session&, args::nm_graph_batch_node&, outs::nm_graph_batch_node&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_graph_dot(Session&, args::nm_graph_dot&, outs::nm_graph_dot&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_user_object(Session&, args::nm_user_object&, outs::nm_user_object&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_batch_mem_op(Session&, args::nm_batch_mem_op&, outs::nm_batch_mem_op&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_texture(Session&, args::nm_texture&, outs::nm_texture&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_tensor_map(Session&, args::nm_tensor_map&, outs::nm_tensor_map&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_resource_split(Session&, args::nm_resource_split&, outs::nm_resource_split&) { return CUDA_ERROR_NOT_SUPPORTED; }
__attribute__((weak)) CUresult nm_resource_desc(Session&, args::nm_resource_desc&, outs::nm_resource_desc&) { return CUDA_ERROR_NOT_SUPPORTED; }
}
