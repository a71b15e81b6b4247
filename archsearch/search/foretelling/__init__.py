"""What a search will take, before it begins: on this machine, on a cluster, by GPUs' data sheets."""
