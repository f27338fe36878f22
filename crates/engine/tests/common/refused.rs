//! MariaDB's error numbers for what is refused.

pub const DATABASE: u16 = 1044;
pub const LOGIN: u16 = 1045;
pub const KILL: u16 = 1095;
pub const NO_SUCH_USER: u16 = 1133;
pub const TABLE: u16 = 1142;
pub const COLUMN: u16 = 1143;
pub const PRIVILEGE: u16 = 1227;
pub const READ_ONLY: u16 = 1290;
pub const ROUTINE: u16 = 1370;
pub const NEW_USER: u16 = 1410;
pub const PROXY: u16 = 1698;
/// Any of the above that says "access denied".
pub const ANY: [u16; 9] = [
    DATABASE, LOGIN, KILL, TABLE, COLUMN, PRIVILEGE, ROUTINE, NEW_USER, PROXY,
];
