// The launches, for a graph, of a float32 master and bfloat16 gradients.
#include "launch.cuh"

template bool hogwild::cuda::launch_push<true, float, hogwild::bfloat16>(const hogwild::PushPlan&,
                                                                         const hogwild::PushCall&,
                                                                         const hogwild::cuda::Tables&);
