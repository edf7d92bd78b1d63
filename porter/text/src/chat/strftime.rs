//! `datetime.strftime` in English and UTC, for templates that tell the date.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const SECONDS_A_DAY: u64 = 86_400;

/// A moment in the proleptic Gregorian calendar, UTC.
struct Moment {
    year: u64,
    /// 1 to 12.
    month: u64,
    /// 1 to 31.
    day: u64,
    /// 1 to 366.
    day_of_year: u64,
    /// 0 is Sunday.
    weekday: u64,
    second_of_day: u64,
}

impl Moment {
    /// After the algorithm `civil_from_days` of Howard Hinnant, for days from 1970 on.
    fn of(time: SystemTime) -> Self {
        let seconds = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let days = seconds / SECONDS_A_DAY;
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * from_march + 2) / 153;
        let day = from_march - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let day_of_year = if month <= 2 { from_march - 305 } else { from_march + 60 + u64::from(leap) };
        Self {
            year,
            month,
            day,
            day_of_year,
            weekday: (days + 4) % 7,
            second_of_day: seconds % SECONDS_A_DAY,
        }
    }
}

/// Formats `time`. `%-d` and its like leave the leading zero out, as glibc does.
pub(super) fn strftime(format: &str, time: SystemTime) -> Result<String, String> {
    let moment = Moment::of(time);
    let mut result = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            result.push(letter);
            continue;
        }
        let mut code = letters.next();
        let bare = code == Some('-');
        if bare {
            code = letters.next();
        }
        let field = code.and_then(|code| field(code, &moment));
        let field = field.ok_or_else(|| format!("strftime_now does not know the format {format:?}"))?;
        let zeros = field.bytes().take(field.len() - 1).take_while(|digit| bare && *digit == b'0').count();
        result.push_str(field.get(zeros..).unwrap_or_default());
    }
    Ok(result)
}

fn field(code: char, moment: &Moment) -> Option<String> {
    let name = |names: &[&str], index: u64| names.get(index as usize).map(|name| (*name).to_owned());
    let short = |name: Option<String>| name.map(|name| name.chars().take(3).collect());
    let hour = moment.second_of_day / 3600;
    let minute = moment.second_of_day / 60 % 60;
    let second = moment.second_of_day % 60;
    let mut text = String::new();
    match code {
        'Y' => write!(text, "{}", moment.year),
        'y' => write!(text, "{:02}", moment.year % 100),
        'm' => write!(text, "{:02}", moment.month),
        'd' => write!(text, "{:02}", moment.day),
        'j' => write!(text, "{:03}", moment.day_of_year),
        'H' => write!(text, "{hour:02}"),
        'I' => write!(text, "{:02}", (hour + 11) % 12 + 1),
        'M' => write!(text, "{minute:02}"),
        'S' => write!(text, "{second:02}"),
        'p' => write!(text, "{}", if hour < 12 { "AM" } else { "PM" }),
        'F' => write!(text, "{}-{:02}-{:02}", moment.year, moment.month, moment.day),
        'T' => write!(text, "{hour:02}:{minute:02}:{second:02}"),
        'B' => return name(&MONTHS, moment.month.checked_sub(1)?),
        'b' => return short(name(&MONTHS, moment.month.checked_sub(1)?)),
        'A' => return name(&DAYS, moment.weekday),
        'a' => return short(name(&DAYS, moment.weekday)),
        '%' => return Some("%".to_owned()),
        _ => return None,
    }
    .ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Written by Python: `datetime.fromtimestamp(t, timezone.utc).strftime(...)`.
    #[test]
    fn dates_are_pythons() {
        let format = "%Y-%m-%d %H:%M:%S %j %a %A %b %B %y %I %p %-d %-j %-M %%";
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 001 Thu Thursday Jan January 70 12 AM 1 1 0 %"),
            (951_782_400, "2000-02-29 00:00:00 060 Tue Tuesday Feb February 00 12 AM 29 60 0 %"),
            (951_868_799, "2000-02-29 23:59:59 060 Tue Tuesday Feb February 00 11 PM 29 60 59 %"),
            (1_709_164_800, "2024-02-29 00:00:00 060 Thu Thursday Feb February 24 12 AM 29 60 0 %"),
            (1_735_689_599, "2024-12-31 23:59:59 366 Tue Tuesday Dec December 24 11 PM 31 366 59 %"),
            (1_795_448_400, "2026-11-23 15:40:00 327 Mon Monday Nov November 26 03 PM 23 327 40 %"),
            (4_107_542_400, "2100-03-01 00:00:00 060 Mon Monday Mar March 00 12 AM 1 60 0 %"),
            (13_569_465_600, "2400-01-01 00:00:00 001 Sat Saturday Jan January 00 12 AM 1 1 0 %"),
        ] {
            assert_eq!(strftime(format, UNIX_EPOCH + Duration::from_secs(seconds)).unwrap(), expected);
        }
    }

    #[test]
    fn unknown_formats_are_errors() {
        assert!(strftime("%Q", UNIX_EPOCH).is_err());
        assert!(strftime("%", UNIX_EPOCH).is_err());
    }
}
