"""The commands of `hprnet-rt`: each module adds its arguments and does its job."""
