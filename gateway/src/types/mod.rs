//! Parts of requests, parsed into types. A value of such a type is always valid.

mod attributes;
mod block_size;
mod bucket;
mod client_token;
mod conditions;
mod copy_source;
mod date;
mod etag;
mod key;
mod lifecycle;
mod list;
mod lock;
mod mail_safe;
mod owner;
mod range;
mod rename_source;
mod storage_class;
mod tags;
mod token;
mod version;

pub use attributes::{parse_attributes, user_metadata_header};
pub use block_size::{BLOCK_SIZE_HEADER, parse_block_size};
pub use bucket::BucketName;
pub use client_token::parse_client_token;
pub use conditions::{ReadConditions, Verdict, parse_write_condition};
pub use copy_source::CopySource;
pub use date::{iso8601, iso8601_seconds, parse_date_s};
pub use etag::{EtagList, quoted};
pub use key::{KEY_LENGTH_MAX, ObjectKey};
pub use lifecycle::{parse_lifecycle, write_lifecycle};
pub use list::{Encoding, parse_encoding, parse_limit};
pub use lock::{
    hold_name, parse_bucket_lock, parse_legal_hold, parse_lock_headers, parse_retention, set_lock_headers,
    write_bucket_lock, write_retention,
};
pub use owner::{write_identity, write_owner};
pub use range::{parse_copy_range, parse_range};
pub use rename_source::RenameSource;
pub use storage_class::{ARCHIVE_CLASSES, is_class_name, is_own_class, parse_storage_class};
pub use tags::{
    parse_bucket_tag_document, parse_new_bucket_tags, parse_tag_document, parse_tag_header, write_tags,
};
pub use token::ListToken;
pub use version::{DELETE_MARKER_HEADER, VERSION_HEADER, parse_version, version_name};
