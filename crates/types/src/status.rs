//! Statuses and kinds, spelled as the API spells them.

/// Declares an enum whose values have a fixed spelling in API, store and logs.
macro_rules! spelled {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in the document's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The API's spelling.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Reads the API's spelling; case matters.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use spelled;

spelled!(
    /// Status of an instance or a database (API document 12.4).
    ObjectStatus {
        /// Being created.
        Create = "CREATE",
        /// Normal: every documented call is accepted and clients connect.
        Active = "ACTIVE",
        /// Being changed.
        Modify = "MODIFY",
        /// Being deleted.
        Delete = "DELETE",
        /// Being moved.
        Migrate = "MIGRATE",
        /// Being scaled out or in.
        Append = "APPEND",
        /// Disabled.
        Inactive = "INACTIVE",
    }
);

spelled!(
    /// Status of a database account (API document 9.3).
    AccountStatus {
        /// Being created.
        Create = "CREATE",
        /// Usable.
        Active = "ACTIVE",
        /// Being deleted.
        Delete = "DELETE",
        /// Gone; never listed.
        Deleted = "DELETED",
    }
);

spelled!(
    /// Status of a task, as the digits that DescribeTasks shows (API document 7.6).
    TaskStatus {
        /// Not started.
        Pending = "0",
        /// Running.
        Running = "1",
        /// Succeeded.
        Succeeded = "2",
        /// Failed.
        Failed = "3",
        /// Closed by the operator.
        Closed = "4",
        /// Cancelled.
        Cancelled = "5",
    }
);

impl TaskStatus {
    /// Whether the task has come to its end.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

spelled!(
    /// Billing mode of a database.
    ChargeType {
        /// Paid for a period in advance; expires.
        PrePaid = "PrePaid",
        /// Paid by the hour; never expires.
        PostPaid = "PostPaid",
    }
);

spelled!(
    /// Network type of an instance.
    NetworkType {
        /// An address of the host.
        Classic = "Classic",
        /// A private address out of a VSwitch.
        Vpc = "VPC",
    }
);

spelled!(
    /// Kind of an endpoint (API document 7.5).
    EndpointType {
        /// The endpoint of a Classic instance.
        Internal = "INTERNAL",
        /// The endpoint of a VPC instance.
        Vpc = "VPC",
        /// The endpoint made by AllocateInstancePublicConnection.
        Public = "PUBLIC",
    }
);

spelled!(
    /// Why an instance refuses changes. The document names the condition "locked" but no
    /// values; these follow the vendor's relational service.
    LockMode {
        /// Not locked.
        Unlock = "Unlock",
        /// Locked by the operator.
        ManualLock = "ManualLock",
        /// The paid period has ended.
        LockByExpiration = "LockByExpiration",
        /// The account's balance is overdue.
        LockByArrears = "LockByArrears",
        /// The disk quota is used up.
        LockByDiskQuota = "LockByDiskQuota",
    }
);

impl LockMode {
    /// Whether the instance is locked at all.
    #[must_use]
    pub const fn is_locked(self) -> bool {
        !matches!(self, Self::Unlock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_reads_back() {
        for &status in ObjectStatus::ALL {
            assert_eq!(ObjectStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(ObjectStatus::parse("active"), None);
        assert_eq!(TaskStatus::parse("2"), Some(TaskStatus::Succeeded));
    }

    #[test]
    fn stored_form_is_the_api_spelling() {
        let json = serde_json::to_string(&NetworkType::Vpc).expect("an enum serializes");
        assert_eq!(json, "\"VPC\"");
    }
}
