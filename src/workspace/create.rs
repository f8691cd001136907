//! Making a workspace: built in staging, captured, published by rename with the record last.
