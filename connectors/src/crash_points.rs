//! Where tests make a loader die inside of a sink. The names of a sink's points begin with the type of its connection.

use millrace_runtime::crash_points;

crash_points! {
    /// All rows of the round are in the transaction; the positions are not moved.
    POSTGRES_POSITIONS_BEFORE = "postgres.positions.before";
    /// The positions are moved in the transaction.
    POSTGRES_POSITIONS_AFTER = "postgres.positions.after";
    /// PostgreSQL has committed.
    POSTGRES_COMMIT_AFTER = "postgres.commit.after";
    /// All rows of the round are in the transaction; the positions are not moved.
    MYSQL_POSITIONS_BEFORE = "mysql.positions.before";
    /// The positions are moved in the transaction.
    MYSQL_POSITIONS_AFTER = "mysql.positions.after";
    /// MySQL has committed.
    MYSQL_COMMIT_AFTER = "mysql.commit.after";
    /// All rows of the round are in the transaction; the positions are not moved.
    SQLITE_POSITIONS_BEFORE = "sqlite.positions.before";
    /// The positions are moved in the transaction.
    SQLITE_POSITIONS_AFTER = "sqlite.positions.after";
    /// SQLite has committed.
    SQLITE_COMMIT_AFTER = "sqlite.commit.after";
    /// Columns are added, in a transaction that has no row of them yet.
    SQLITE_GROWTH_AFTER = "sqlite.growth.after";
    /// Rows are an object in S3; the cluster has copied none of them.
    REDSHIFT_OBJECT_AFTER = "redshift.object.after";
    /// All rows of the round are in the session's stage; the transaction is not begun.
    REDSHIFT_STAGE_AFTER = "redshift.stage.after";
    /// All rows of the round are in the transaction; the positions are not moved.
    REDSHIFT_POSITIONS_BEFORE = "redshift.positions.before";
    /// The positions are moved in the transaction.
    REDSHIFT_POSITIONS_AFTER = "redshift.positions.after";
    /// Redshift has committed.
    REDSHIFT_COMMIT_AFTER = "redshift.commit.after";
    /// Keys and positions are watched and stand; nothing of the round is sent.
    REDIS_WATCH_AFTER = "redis.watch.after";
    /// Redis has done the round.
    REDIS_COMMIT_AFTER = "redis.commit.after";
    /// A file of rows is there whole; no version of the log names it.
    LAKE_FILE_AFTER = "lake.file.after";
    /// Positions stand; the version that names the files is about to be put.
    LAKE_VERSION_BEFORE = "lake.version.before";
    /// The version is there; the snapshot in memory does not know of it.
    LAKE_VERSION_AFTER = "lake.version.after";
}
