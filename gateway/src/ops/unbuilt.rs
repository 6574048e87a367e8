//! Operations of S3 that Cairn does not have yet. Each is declared with all its members and refused by its name, so
//! that no request for it is taken for another operation on the same resource.

use crate::declaration::Resource::{self, Bucket, Object};
use crate::declaration::When::{self, Query, With};
use crate::declaration::{Declaration, Verb};

const fn unbuilt(name: &'static str, method: Verb, resource: Resource, when: &'static [When]) -> Declaration {
    let mut declaration = Declaration::new(name, method, resource);
    declaration.when = when;
    declaration
}

/// The operations of AWS's service model that are answered with `NotImplemented`.
pub(crate) const UNBUILT: &[Declaration] = &[
    unbuilt("CreateBucketMetadataConfiguration", Verb::Post, Bucket, &[Query("metadataConfiguration")]),
    unbuilt("CreateBucketMetadataTableConfiguration", Verb::Post, Bucket, &[Query("metadataTable")]),
    unbuilt("CreateSession", Verb::Get, Bucket, &[Query("session")]),
    unbuilt("DeleteBucketMetadataConfiguration", Verb::Delete, Bucket, &[Query("metadataConfiguration")]),
    unbuilt("DeleteBucketMetadataTableConfiguration", Verb::Delete, Bucket, &[Query("metadataTable")]),
    unbuilt("DeleteObjectAnnotation", Verb::Delete, Object, &[Query("annotation")]),
    unbuilt("GetBucketMetadataConfiguration", Verb::Get, Bucket, &[Query("metadataConfiguration")]),
    unbuilt("GetBucketMetadataTableConfiguration", Verb::Get, Bucket, &[Query("metadataTable")]),
    unbuilt("GetObjectAnnotation", Verb::Get, Object, &[Query("annotation"), With("annotationName")]),
    unbuilt("GetObjectTorrent", Verb::Get, Object, &[Query("torrent")]),
    unbuilt("ListObjectAnnotations", Verb::Get, Object, &[Query("annotation")]),
    unbuilt("PutBucketAbac", Verb::Put, Bucket, &[Query("abac")]),
    unbuilt("PutBucketAccelerateConfiguration", Verb::Put, Bucket, &[Query("accelerate")]),
    unbuilt("PutBucketAnalyticsConfiguration", Verb::Put, Bucket, &[Query("analytics")]),
    unbuilt("PutBucketCors", Verb::Put, Bucket, &[Query("cors")]),
    unbuilt("PutBucketEncryption", Verb::Put, Bucket, &[Query("encryption")]),
    unbuilt("PutBucketIntelligentTieringConfiguration", Verb::Put, Bucket, &[Query("intelligent-tiering")]),
    unbuilt("PutBucketInventoryConfiguration", Verb::Put, Bucket, &[Query("inventory")]),
    unbuilt("PutBucketMetricsConfiguration", Verb::Put, Bucket, &[Query("metrics")]),
    unbuilt("PutBucketReplication", Verb::Put, Bucket, &[Query("replication")]),
    unbuilt("PutBucketWebsite", Verb::Put, Bucket, &[Query("website")]),
    unbuilt("PutObjectAnnotation", Verb::Put, Object, &[Query("annotation")]),
    unbuilt("RestoreObject", Verb::Post, Object, &[Query("restore")]),
    unbuilt("SelectObjectContent", Verb::Post, Object, &[Query("select")]),
    unbuilt(
        "UpdateBucketMetadataAnnotationTableConfiguration",
        Verb::Put,
        Bucket,
        &[Query("metadataAnnotationTable")],
    ),
    unbuilt(
        "UpdateBucketMetadataInventoryTableConfiguration",
        Verb::Put,
        Bucket,
        &[Query("metadataInventoryTable")],
    ),
    unbuilt(
        "UpdateBucketMetadataJournalTableConfiguration",
        Verb::Put,
        Bucket,
        &[Query("metadataJournalTable")],
    ),
    unbuilt("UpdateObjectEncryption", Verb::Put, Object, &[Query("encryption")]),
];
