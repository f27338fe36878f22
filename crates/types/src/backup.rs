//! Backups: kinds of sets, and when and how a database is backed up (API document 11).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::NameError;
use crate::status::spelled;

spelled!(
    /// Status of a backup set (API document 11.1).
    BackupStatus {
        /// Being taken.
        Progress = "Progress",
        /// Whole; it can be restored.
        Success = "Success",
        /// There is nothing of it.
        Failed = "Failed",
    }
);

spelled!(
    /// Who asked for a backup set.
    BackupMode {
        /// The policy of the database.
        Automated = "Automated",
        /// A call.
        Manual = "Manual",
    }
);

spelled!(
    /// What a backup set holds.
    BackupType {
        /// Everything.
        Full = "FullBackup",
        /// What changed since another set.
        Incremental = "IncrementalBackup",
    }
);

spelled!(
    /// How a backup set was taken.
    BackupMethod {
        /// As statements that make the content anew.
        Logical = "Logical",
        /// As the engine's files.
        Physical = "Physical",
        /// As a snapshot of the file system.
        Snapshot = "Snapshot",
    }
);

spelled!(
    /// How an export is laid out.
    ExportLayout {
        /// One text of statements.
        Sql = "sql",
        /// Files as mydumper writes them.
        Mydumper = "mydumper",
    }
);

spelled!(
    /// How files of an export are compressed.
    Compression {
        /// By Zstandard.
        Zstd = "zstd",
        /// By gzip.
        Gzip = "gzip",
        /// Not at all.
        None = "none",
    }
);

impl Compression {
    /// What names of such files end with.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
            Self::None => "",
        }
    }
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportForm {
    /// How it is laid out.
    pub layout: ExportLayout,
    /// How its files are compressed.
    pub compression: Compression,
    /// Tables of a database over several nodes are written without saying how they are distributed,
    /// so that any server takes them.
    #[serde(default)]
    pub for_one_node: bool,
}

impl Default for ExportForm {
    fn default() -> Self {
        Self {
            layout: ExportLayout::Sql,
            compression: Compression::Zstd,
            for_one_node: false,
        }
    }
}

/// The days of the week, as the API spells them, in its order.
const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// What stands for no day at all.
const NEVER: &str = "None";

/// The weekdays on which a database is backed up by itself; none at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupPeriod(u8);

impl BackupPeriod {
    /// Reads weekdays with commas between them, or `None`. Blanks around a day and a day named
    /// twice do no harm.
    ///
    /// # Errors
    /// [`NameError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const UNKNOWN: NameError = NameError::new("PreferredBackupPeriod", "is no list of days");
        if text.trim() == NEVER {
            return Ok(Self::default());
        }
        let mut days = 0;
        for day in text.split(',') {
            let found = WEEKDAYS.iter().position(|known| *known == day.trim());
            days |= 1 << found.ok_or(UNKNOWN)?;
        }
        Ok(Self(days))
    }

    /// Whether it is no day at all: no backup is taken by itself.
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.0 == 0
    }

    /// Whether a weekday is one of them; 0 is Monday. There is none beyond 6.
    #[must_use]
    pub const fn has_weekday(self, weekday: u8) -> bool {
        weekday < 7 && self.0 & (1 << weekday) != 0
    }
}

impl FromStr for BackupPeriod {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for BackupPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chosen = |index: &usize| self.0 & (1 << index) != 0;
        let days: Vec<_> = (0..WEEKDAYS.len())
            .filter(chosen)
            .map(|index| WEEKDAYS[index])
            .collect();
        f.write_str(if days.is_empty() { NEVER } else { "" })?;
        f.write_str(&days.join(","))
    }
}

/// The daily time, UTC, in which a backup begins; it may go past midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupWindow {
    /// Minutes after midnight.
    start: u16,
    /// Minutes after midnight; never equal to the start.
    end: u16,
}

impl BackupWindow {
    /// Reads `HH:mmZ-HH:mmZ`; one blank after the hyphen is allowed, since the API document
    /// writes one in places.
    ///
    /// # Errors
    /// [`NameError`] for anything else, and when start and end are the same.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let window = || {
            let (start, end) = text.split_once('-')?;
            let start = minutes(start)?;
            let end = minutes(end.strip_prefix(' ').unwrap_or(end))?;
            (start != end).then_some(Self { start, end })
        };
        window().ok_or(NameError::new("PreferredBackupTime", "is no time window"))
    }

    /// When it begins, in minutes after midnight UTC.
    #[must_use]
    pub const fn start_minute(self) -> u16 {
        self.start
    }

    /// How many minutes it lasts, past midnight if need be: 1 to 1439.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        const DAY: u16 = 24 * 60;
        (self.end + DAY - self.start) % DAY
    }
}

impl Default for BackupWindow {
    /// 18:00Z-19:00Z.
    fn default() -> Self {
        Self {
            start: 18 * 60,
            end: 19 * 60,
        }
    }
}

impl FromStr for BackupWindow {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

impl fmt::Display for BackupWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.start, self.end);
        let parts = [start / 60, start % 60, end / 60, end % 60];
        let [from_hour, from_minute, to_hour, to_minute] = parts;
        write!(
            f,
            "{from_hour:02}:{from_minute:02}Z-{to_hour:02}:{to_minute:02}Z"
        )
    }
}

/// Minutes after midnight out of `HH:mmZ`.
fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.strip_suffix('Z')?.split_once(':')?;
    let number = |digits: &str, limit: u16| {
        let is_pair = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        let number: u16 = digits.parse().ok().filter(|_| is_pair)?;
        (number < limit).then_some(number)
    };
    Some(number(hour, 24)? * 60 + number(minute, 60)?)
}

/// For how many days backup sets are kept: 7 to 730, at first 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RetentionDays(u32);

impl RetentionDays {
    /// Takes a number of days.
    ///
    /// # Errors
    /// [`NameError`] unless it is 7 to 730.
    pub fn new(days: u32) -> Result<Self, NameError> {
        if (7..=730).contains(&days) {
            Ok(Self(days))
        } else {
            Err(NameError::new("BackupRetentionPeriod", "is not 7 to 730"))
        }
    }

    /// The number.
    #[must_use]
    pub const fn days(self) -> u32 {
        self.0
    }
}

impl Default for RetentionDays {
    fn default() -> Self {
        Self(7)
    }
}

impl fmt::Display for RetentionDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_shown_in_the_order_of_the_week() {
        for (text, shown) in [
            ("Monday", "Monday"),
            ("Sunday, Monday,Sunday", "Monday,Sunday"),
            ("None", "None"),
        ] {
            let period = BackupPeriod::parse(text).expect(text);
            assert_eq!(period.to_string(), shown);
            assert_eq!(BackupPeriod::parse(shown), Ok(period));
            assert_eq!(period.is_never(), shown == "None");
            for (day, name) in WEEKDAYS.iter().enumerate() {
                let day = u8::try_from(day).expect("seven");
                assert_eq!(
                    period.has_weekday(day),
                    shown.contains(name),
                    "{text} {name}"
                );
            }
            assert!(!period.has_weekday(7) && !period.has_weekday(u8::MAX));
        }
        for bad in [
            "",
            "monday",
            "Monday,",
            ",",
            "Monday,None",
            "Monday Tuesday",
        ] {
            assert!(BackupPeriod::parse(bad).is_err(), "{bad}");
        }
        assert!(BackupPeriod::default().is_never());
    }

    #[test]
    fn windows_are_two_times_of_a_day() {
        for (text, shown, start, minutes) in [
            ("18:00Z-19:00Z", "18:00Z-19:00Z", 1_080, 60),
            ("23:30Z- 00:30Z", "23:30Z-00:30Z", 1_410, 60),
            ("00:01Z-00:00Z", "00:01Z-00:00Z", 1, 1_439),
        ] {
            let window = BackupWindow::parse(text).expect(text);
            assert_eq!(window.to_string(), shown);
            assert_eq!((window.start_minute(), window.minutes()), (start, minutes));
        }
        for bad in [
            "",
            "18:00Z",
            "18:00-19:00",
            "18:00Z-18:00Z",
            "24:00Z-01:00Z",
            "18:60Z-19:00Z",
            "8:00Z-9:00Z",
            "18:00Z-  19:00Z",
            "18:00Z-19:00Z-20:00Z",
            "+1:00Z-02:00Z",
        ] {
            assert!(BackupWindow::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(BackupWindow::default().to_string(), "18:00Z-19:00Z");
    }

    #[test]
    fn sets_are_kept_for_a_week_to_two_years() {
        assert!(RetentionDays::new(6).is_err() && RetentionDays::new(731).is_err());
        assert_eq!(RetentionDays::new(730).map(RetentionDays::days), Ok(730));
        assert_eq!(RetentionDays::default().to_string(), "7");
    }
}
