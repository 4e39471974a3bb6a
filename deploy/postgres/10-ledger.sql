-- The planner's ledger: a database and a user of its own. Tasks cannot reach Airflow's database,
-- and nobody but its owner connects to this one.
\getenv ledger_password LEDGER_PASSWORD
CREATE ROLE planner LOGIN PASSWORD :'ledger_password';
CREATE DATABASE planner OWNER planner;
REVOKE CONNECT ON DATABASE planner FROM PUBLIC;
