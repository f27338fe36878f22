//! Databases of an instance.

pub(crate) mod create_database;
pub(crate) mod delete_database;
pub(crate) mod describe_database_list;
pub(crate) mod describe_database_partitions;
pub(crate) mod describe_databases;
pub(crate) mod modify_database_nodes_number;
pub(crate) mod modify_database_nodes_spec;

pub use create_database::{CreateDatabaseRequest, CreateDatabaseResponse};
pub use delete_database::DeleteDatabaseRequest;
pub use describe_database_list::{
    DescribeDatabaseListRequest, DescribeDatabaseListResponse, ListedDatabase,
};
pub use describe_database_partitions::{
    DescribeDatabasePartitionsRequest, DescribeDatabasePartitionsResponse, PartitionItem,
};
pub use describe_databases::{DatabaseItem, DescribeDatabasesRequest, DescribeDatabasesResponse};
pub use modify_database_nodes_number::ModifyDatabaseNodesNumberRequest;
pub use modify_database_nodes_spec::ModifyDatabaseNodesSpecRequest;
