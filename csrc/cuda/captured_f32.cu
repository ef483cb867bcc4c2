// The launches, for a graph, of a float32 master and float32 gradients.
#include "launch.cuh"

template bool hogwild::cuda::launch_push<true, float, float>(const hogwild::PushPlan&, const hogwild::PushCall&,
                                                             const hogwild::cuda::Tables&);
