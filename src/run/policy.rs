//! What a run may read, write, reach and consume. Until the wall is built: `none`.
