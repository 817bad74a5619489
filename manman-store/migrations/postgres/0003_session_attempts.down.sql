DROP TABLE session_attempts;
