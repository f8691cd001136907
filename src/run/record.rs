//! The record of a run: `runs/RUN/{run.toml,out,err,changes.json}`.
